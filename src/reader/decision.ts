/**
 * What the reader knows when it decides, and what happened then: the plain data that environment, network and training
 * hand to each other. A state has one row of features for itself and one for every action that is legal in it, so the
 * number of actions may change from step to step (spec: the budgeted reader's decision problem).
 */

/** Ends an episode: with the best answer so far, or by saying that it is not there. */
export type Ending = 'answer' | 'abstain';
export type ActionKind = Ending | 'skim' | 'read' | 'inspect' | 'requery';

/** One state with its legal actions. Features lie in about [-1, 1]. */
export interface Decision {
  /** [stateFeatures] */
  readonly state: Float32Array;
  /** [actions][actionFeatures], row-major; the kind is among the features. */
  readonly actions: Float32Array;
  /** Of each action. `answer` and `abstain` are always legal, and each stands there once. */
  readonly kinds: readonly ActionKind[];
}

/** One executed action, and what is known besides it. Rewards are in units of one right answer. */
export interface Step {
  readonly decision: Decision;
  /** Index of the executed action. */
  readonly chosen: number;
  readonly reward: number;
  /** What each ending would have paid here: known in simulation, so both are trained at every state (Stop-RAG's full-width targets). */
  readonly endingRewards: Readonly<Record<Ending, number>>;
}

/** Steps in order; the last one's action is an ending. */
export type Episode = readonly Step[];

/** A task that is being worked on. Deterministic: the seed that made it decides everything. */
export interface Task {
  /** null: it has ended. */
  decision(): Decision | null;
  /** As `Step.endingRewards`, of the present state. */
  endingRewards(): Readonly<Record<Ending, number>>;
  /** Executes the action of that index; returns its reward. */
  act(action: number): number;
}

/** Tasks by seed; the same seed gives the same task. */
export interface Environment {
  readonly stateFeatures: number;
  readonly actionFeatures: number;
  task(seed: number): Task;
}
