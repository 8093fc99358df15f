/** How far the logits of two implementations agree. */
import { argmax } from '../device/sampling.js';

export interface Agreement {
  readonly positions: number;
  /** Share of positions whose largest logit is of the same token. */
  readonly top1: number;
  /** Where the tops differ: by how much the peer prefers its own to ours, at most; 0 where none does. */
  readonly topGapMax: number;
  /** Kullback-Leibler divergence of ours from the peer's distribution, nats: mean and largest over positions. */
  readonly klMean: number;
  readonly klMax: number;
  /** Of any logit at any position. */
  readonly largestDifference: number;
  /** Standard deviation of the peer's logits, for scale. */
  readonly deviation: number;
}

/** @param ours,peers logits [vocabulary] of the same positions */
export function compareLogits(ours: readonly Float32Array[], peers: readonly Float32Array[]): Agreement {
  let same = 0;
  let topGapMax = 0;
  let klSum = 0;
  let klMax = 0;
  let largestDifference = 0;
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (const [i, peer] of peers.entries()) {
    const our = ours[i]!;
    const [ourTop, peerTop] = [argmax(our), argmax(peer)];
    if (ourTop === peerTop) same++;
    topGapMax = Math.max(topGapMax, peer[peerTop]! - peer[ourTop]!);
    const kl = divergence(peer, our);
    klSum += kl;
    klMax = Math.max(klMax, kl);
    for (let id = 0; id < peer.length; id++) {
      largestDifference = Math.max(largestDifference, Math.abs(our[id]! - peer[id]!));
      sum += peer[id]!;
      squares += peer[id]! ** 2;
    }
    count += peer.length;
  }
  const { length } = peers;
  return { positions: length, top1: same / length, topGapMax, klMean: klSum / length, klMax, largestDifference, deviation: Math.sqrt(squares / count - (sum / count) ** 2) };
}

/** KL(p || q) of the softmaxes of two rows of logits, in float64. */
export function divergence(p: Float32Array, q: Float32Array): number {
  const logP = logNormaliser(p);
  const logQ = logNormaliser(q);
  let sum = 0;
  for (let id = 0; id < p.length; id++) sum += Math.exp(p[id]! - logP) * (p[id]! - logP - (q[id]! - logQ));
  return sum;
}

function logNormaliser(logits: Float32Array): number {
  const most = logits[argmax(logits)]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return most + Math.log(sum);
}
