/**
 * What a batch of episodes says about the values of actions (temporal differences).
 *
 * - The endings are trained at every state on the rewards that are known there (full-width targets of Stop-RAG, arXiv
 *   2510.14337); nothing is bootstrapped into them.
 * - The executed reading action is trained on its lambda-return. Q-learning values what follows by the action that the
 *   network itself likes best, as the slower target network sees it (double Q-learning), and follows the executed actions
 *   on for as long as they are that action (Watkins). SARSA follows the executed ones; Monte Carlo only their rewards.
 * - The conservative term (CQL, arXiv 2006.04779), logsumexp of the reading actions' values less the executed one's, holds
 *   what was not tried below what was. It leaves the endings out: drawn towards logged actions, a policy would read everything.
 */
import type { Ending, Episode } from '../decision.js';
import { type Numbers, softmax } from '../losses.js';
import { indexOfMost, isEnding } from '../rollout.js';
import { mixTargets, type Target, type ValueHead } from '../value-head.js';
import { followingRows, rowOf, type Batch } from './batch.js';
import type { TdOptions } from './options.js';

const endings: readonly Ending[] = ['answer', 'abstain'];

/**
 * Of each state of a batch, the action that its value is taken from where an earlier step is trained; of an episode's first state, which no
 * step leads to, the executed one.
 * @param outputsOf the online network's, of rows of the batch: [rows, outputs]
 */
export function followedActions(batch: Batch, head: ValueHead, { bootstrap }: TdOptions, outputsOf: (rows: readonly number[]) => Float32Array): readonly number[] {
  if (bootstrap !== 'q-learning') return batch.episodes.flatMap((episode) => episode.map(({ chosen }) => chosen));
  const outputs = outputsOf(followingRows(batch));
  let row = 0;
  const valueOfNext = (): number => head.value(outputs.subarray(row * head.outputs, ++row * head.outputs));
  return batch.episodes.flatMap((episode) => episode.map(({ decision, chosen }, t) => (t === 0 ? chosen : indexOfMost(decision.kinds.map(valueOfNext)))));
}

/** Targets by row of the batch. @param followed by state; @param targetOutputs of the followed action, by state: [states, outputs] */
export function tdTargets(batch: Batch, head: ValueHead, followed: readonly number[], targetOutputs: Float32Array, options: TdOptions): Map<number, Target> {
  const targets = new Map<number, Target>();
  let first = 0;
  for (const episode of batch.episodes) {
    const at = first;
    const returns = lambdaReturns(episode, head, followed.slice(at, at + episode.length), (t) => targetOutputs.subarray((at + t) * head.outputs, (at + t + 1) * head.outputs), options);
    for (const [t, { decision, chosen, endingRewards }] of episode.entries()) {
      for (const ending of endings) targets.set(rowOf(batch, at + t, decision.kinds.indexOf(ending)), head.ofEnding(endingRewards[ending]));
      if (!isEnding(decision.kinds[chosen]!)) targets.set(rowOf(batch, at + t, chosen), returns[t]!);
    }
    first += episode.length;
  }
  return targets;
}

/** Of each step's executed action. @param followed by step; @param targetOutputs of a step's followed action */
export function lambdaReturns(episode: Episode, head: ValueHead, followed: readonly number[], targetOutputs: (step: number) => Numbers, { bootstrap, lambda, discount }: Omit<TdOptions, 'conservative'>): Target[] {
  const returns: Target[] = [];
  for (let t = episode.length - 1; t >= 0; t--) {
    const { reward } = episode[t]!;
    let following = returns[t + 1];
    if (following !== undefined && bootstrap !== 'monte-carlo') {
      const own = head.ofOutputs(targetOutputs(t + 1));
      following = followed[t + 1] === episode[t + 1]!.chosen ? mixTargets(own, following, lambda) : own;
    }
    returns[t] = following === undefined ? head.ofEnding(reward) : head.earlier(following, reward, discount);
  }
  return returns;
}

export interface Graded {
  /** Mean over states; the conservative term is not in it. */
  readonly loss: number;
  /** [rows, outputs] */
  readonly gradient: Float32Array;
}

/** Rows that a step has to compute: those with a target, and with the conservative term all reading actions beside an executed one. */
export function rowsToTrain(batch: Batch, targets: ReadonlyMap<number, Target>, conservative: number): number[] {
  const rows = new Set(targets.keys());
  if (conservative > 0) for (const { reading } of readingChoices(batch)) for (const row of reading) rows.add(row);
  return [...rows];
}

/** @param outputs of `rows`: [rows, outputs] */
export function gradeOutputs(batch: Batch, head: ValueHead, targets: ReadonlyMap<number, Target>, rows: readonly number[], outputs: Float32Array, conservative: number): Graded {
  const gradient = new Float32Array(outputs.length);
  const weight = 1 / batch.states;
  const placeOf = new Map(rows.map((row, i) => [row, i]));
  const part = (of: Float32Array, row: number): Float32Array => of.subarray(placeOf.get(row)! * head.outputs, (placeOf.get(row)! + 1) * head.outputs);
  let loss = 0;
  for (const [row, target] of targets) loss += weight * head.loss(part(outputs, row), target, weight, part(gradient, row));
  if (conservative > 0) {
    for (const { reading, executed } of readingChoices(batch)) {
      const shares = softmax(reading.map((row) => head.value(part(outputs, row))));
      for (const [i, row] of reading.entries()) head.addValueGradient(part(outputs, row), weight * conservative * (shares[i]! - (row === executed ? 1 : 0)), part(gradient, row));
    }
  }
  return { loss, gradient };
}

/** Of each state where something was read: the rows of all that could have been, and of what was. */
function readingChoices(batch: Batch): { readonly reading: readonly number[]; readonly executed: number }[] {
  return batch.episodes.flat().flatMap(({ decision: { kinds }, chosen }, state) => {
    if (isEnding(kinds[chosen]!)) return [];
    return [{ reading: kinds.flatMap((kind, action) => (isEnding(kind) ? [] : [rowOf(batch, state, action)])), executed: rowOf(batch, state, chosen) }];
  });
}
