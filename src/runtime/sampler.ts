/**
 * Logits -> a token. Pure functions: the randomness comes in as a number.
 * Order of the filters as in transformers: temperature, top-k, top-p, min-p.
 */
export interface Sampling {
  /** 0: the most probable token. 1: the model's own distribution. */
  readonly temperature: number;
  /** Keep the k most probable tokens; 0 or undefined: all. */
  readonly topK?: number | undefined;
  /** Keep the fewest most probable tokens that hold at least this much probability; 1 or undefined: all. */
  readonly topP?: number | undefined;
  /** Keep tokens at least this fraction as probable as the most probable one; 0 or undefined: all. */
  readonly minP?: number | undefined;
  /** Of the pseudo-random numbers; same seed, same text. */
  readonly seed?: number | undefined;
}

/** Index of the largest logit, the first of equals. NaN never wins. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let value = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! > value) {
      value = logits[i]!;
      best = i;
    }
  }
  return best;
}

/** ln of the sum of exp(logits). */
export function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  if (max === -Infinity) return max;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}

export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/**
 * What may be drawn, most probable first (ties: lower id first), probabilities summing to 1.
 * `sampling.temperature` must be above 0.
 */
export function candidates(logits: Float32Array, sampling: Sampling): Candidate[] {
  const { temperature, topK = 0, topP = 1, minP = 0 } = sampling;
  let ids = Array.from(logits.keys()).filter((id) => logits[id]! > -Infinity);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  const max = logits[ids[0]!]!;
  const weight = (id: number): number => Math.exp((logits[id]! - max) / temperature);
  if (topP < 1) {
    // Keep a token while the probability before it is below top-p; always the first.
    const total = ids.reduce((sum, id) => sum + weight(id), 0);
    let before = 0;
    let keep = 0;
    while (keep < ids.length && (keep === 0 || before < topP * total)) before += weight(ids[keep++]!);
    ids = ids.slice(0, keep);
  }
  if (minP > 0) ids = ids.filter((id) => weight(id) >= minP);
  const total = ids.reduce((sum, id) => sum + weight(id), 0);
  return ids.map((id) => ({ id, probability: weight(id) / total }));
}

/** Draws with `uniform` in [0, 1). Greedy at temperature 0. Throws RangeError where every logit is -Infinity or NaN. */
export function sample(logits: Float32Array, sampling: Sampling, uniform: number): number {
  if (!logits.some((logit) => logit > -Infinity)) throw new RangeError('no token is allowed');
  if (sampling.temperature <= 0 || sampling.topK === 1) return argmax(logits);
  const among = candidates(logits, sampling);
  let left = uniform;
  for (const { id, probability } of among) {
    left -= probability;
    if (left < 0) return id;
  }
  return among.at(-1)!.id;
}
