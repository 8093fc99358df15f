/** Options of training, and what they are where nothing is said. */
import type { HeadOptions } from '../value-head.js';

export const bootstraps = ['q-learning', 'sarsa', 'monte-carlo'] as const;
export type Bootstrap = (typeof bootstraps)[number];

export interface TdOptions {
  readonly bootstrap: Bootstrap;
  /** 0: one step; 1: all rewards until the end. */
  readonly lambda: number;
  readonly discount: number;
  /** Weight of the conservative term. */
  readonly conservative: number;
}

export interface TrainingOptions extends TdOptions {
  readonly seed: number;
  readonly head: HeadOptions;
  readonly width: number;
  readonly blocks: number;
  /** Made before training. */
  readonly offlineEpisodes: number;
  /** Updates on these alone; the conservative term counts here only. */
  readonly offlineUpdates: number;
  /** Updates that follow, half of each batch from episodes of the network's own. */
  readonly onlineUpdates: number;
  readonly episodesPerUpdate: number;
  /** Episodes of a batch. */
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly clip: number;
  /** Share of an update that the target network takes over. */
  readonly targetRate: number;
  /** Share of random actions online: at first, and in the end. */
  readonly exploration: readonly [number, number];
}

export const trainingDefaults: Omit<TrainingOptions, 'seed' | 'head'> = {
  bootstrap: 'q-learning',
  lambda: 0.7,
  discount: 1,
  conservative: 0.1,
  width: 64,
  blocks: 2,
  offlineEpisodes: 3000,
  offlineUpdates: 600,
  onlineUpdates: 600,
  episodesPerUpdate: 1,
  batch: 16,
  learningRate: 2e-3,
  weightDecay: 1e-2,
  clip: 10,
  targetRate: 0.01,
  exploration: [0.1, 0.02],
};
