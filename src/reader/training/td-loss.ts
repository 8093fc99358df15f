/**
 * What a batch of episodes says about the outputs of the network: the loss of temporal differences with the gradient that a
 * training step follows.
 *
 * - The endings are trained at every state on the rewards that are known there (full-width targets of Stop-RAG, arXiv
 *   2510.14337); nothing is bootstrapped into them.
 * - The executed reading action is trained on its lambda-return. Q-learning values what follows by the action that the
 *   network itself likes best, as the slower target network sees it (double Q-learning), and follows the executed actions
 *   on for as long as they are that action (Watkins). SARSA follows the executed ones; Monte Carlo only their rewards.
 * - The conservative term (CQL, arXiv 2006.04779), logsumexp of the reading actions' values less the executed one's, holds
 *   what was not tried below what was. It leaves the endings out: drawn towards logged actions, a policy would read everything.
 */
import { type Numbers, softmax } from '../losses.js';
import { indexOfMost, isEnding } from '../rollout.js';
import { mixTargets, type Target, type ValueHead } from '../value-head.js';
import type { Ending, Episode } from '../decision.js';
import type { Batch } from './batch.js';
import type { TdOptions } from './options.js';

export interface TdLoss {
  /** Mean over states; the conservative term is not in it. */
  readonly loss: number;
  /** [states * slots, outputs] */
  readonly gradient: Float32Array;
}

/** @param online, target outputs of the two networks, [states * slots, outputs] */
export function tdLoss(batch: Batch, head: ValueHead, online: Float32Array, target: Float32Array, options: TdOptions): TdLoss {
  const gradient = new Float32Array(online.length);
  const row = (of: Float32Array, state: number, action: number): Float32Array => {
    const at = (state * batch.slots + action) * head.outputs;
    return of.subarray(at, at + head.outputs);
  };
  const weight = 1 / batch.states;
  let loss = 0;
  const train = (state: number, action: number, wanted: Target): void => {
    loss += weight * head.loss(row(online, state, action), wanted, weight, row(gradient, state, action));
  };
  let first = 0;
  for (const episode of batch.episodes) {
    const values = episode.map(({ decision }, t) => Float64Array.from(decision.kinds, (_, a) => head.value(row(online, first + t, a))));
    const returns = lambdaReturns(episode, head, values, (t, action) => row(target, first + t, action), options);
    for (const [t, { decision, chosen, endingRewards }] of episode.entries()) {
      for (const ending of ['answer', 'abstain'] satisfies Ending[]) train(first + t, decision.kinds.indexOf(ending), head.ofEnding(endingRewards[ending]));
      if (isEnding(decision.kinds[chosen]!)) continue;
      train(first + t, chosen, returns[t]!);
      if (options.conservative === 0) continue;
      const reading = decision.kinds.flatMap((kind, action) => (isEnding(kind) ? [] : [action]));
      const shares = softmax(reading.map((action) => values[t]![action]!));
      for (const [i, action] of reading.entries()) {
        const share = shares[i]! - (action === chosen ? 1 : 0);
        head.addValueGradient(row(online, first + t, action), weight * options.conservative * share, row(gradient, first + t, action));
      }
    }
    first += episode.length;
  }
  return { loss, gradient };
}

/** Of each step's executed action. @param values of the online network, by step and action */
export function lambdaReturns(episode: Episode, head: ValueHead, values: readonly Float64Array[], targetOutputs: (step: number, action: number) => Numbers, { bootstrap, lambda, discount }: Omit<TdOptions, 'conservative'>): Target[] {
  const returns: Target[] = [];
  for (let t = episode.length - 1; t >= 0; t--) {
    const { reward } = episode[t]!;
    const after = returns[t + 1];
    if (after === undefined) {
      returns[t] = head.ofEnding(reward);
      continue;
    }
    let following = after;
    if (bootstrap !== 'monte-carlo') {
      const executed = episode[t + 1]!.chosen;
      const next = bootstrap === 'sarsa' ? executed : indexOfMost(values[t + 1]!);
      const own = head.ofOutputs(targetOutputs(t + 1, next));
      following = next === executed ? mixTargets(own, after, lambda) : own;
    }
    returns[t] = head.earlier(following, reward, discount);
  }
  return returns;
}
