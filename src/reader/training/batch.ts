/** Decisions of several episodes as the rectangular arrays that a training step computes on. */
import type { Decision, Episode } from '../decision.js';

export interface Batch {
  /** All steps of the episodes, one after the other; a decision each. */
  readonly states: number;
  /** Most actions of a decision; shorter ones are padded with zeros. */
  readonly slots: number;
  /** [states, stateFeatures] */
  readonly state: Float32Array;
  /** [states, slots, actionFeatures] */
  readonly actions: Float32Array;
  /** [states, slots]: one over the number of actions; 0 where there is none. */
  readonly meanWeights: Float32Array;
  readonly episodes: readonly Episode[];
}

/** The row of a state's action in all that has a row for each slot. */
export function rowOf({ slots }: Batch, state: number, action: number): number {
  return state * slots + action;
}

/** Of each state that an action led to, the rows of all its actions: what may be bootstrapped from. */
export function followingRows(batch: Batch): number[] {
  const rows: number[] = [];
  let state = 0;
  for (const episode of batch.episodes) {
    for (const [t, { decision }] of episode.entries()) {
      if (t > 0) for (let action = 0; action < decision.kinds.length; action++) rows.push(rowOf(batch, state, action));
      state++;
    }
  }
  return rows;
}

export function makeBatch(episodes: readonly Episode[]): Batch {
  const decisions: Decision[] = episodes.flatMap((episode) => episode.map((step) => step.decision));
  const slots = Math.max(...decisions.map(({ kinds }) => kinds.length));
  const stateFeatures = decisions[0]!.state.length;
  const actionFeatures = decisions[0]!.actions.length / decisions[0]!.kinds.length;
  const state = new Float32Array(decisions.length * stateFeatures);
  const actions = new Float32Array(decisions.length * slots * actionFeatures);
  const meanWeights = new Float32Array(decisions.length * slots);
  for (const [i, decision] of decisions.entries()) {
    state.set(decision.state, i * stateFeatures);
    actions.set(decision.actions, i * slots * actionFeatures);
    meanWeights.fill(1 / decision.kinds.length, i * slots, i * slots + decision.kinds.length);
  }
  return { states: decisions.length, slots, state, actions, meanWeights, episodes };
}
