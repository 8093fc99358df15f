/** Names of `lodestone needle`: its suites, and what it asks where nothing is said. */
import { kamradtLengths, KAMRADT_STEPS } from './kamradt.js';
import { suiteNames, type SuiteName } from './suites.js';

/** `canary` is of documents of the user's own; `audio` needs a model that hears. */
export const needleSuites = [...suiteNames, 'canary', 'audio'] as const;
export type NeedleSuite = SuiteName | 'canary' | 'audio';

export interface Preset {
  readonly suites: readonly NeedleSuite[];
  /** Those that the model holds, and the suite has room in, are asked. */
  readonly lengths: readonly number[];
  /** How many, from 0 to 100 %. */
  readonly depths: number;
  /** Rounds of questions for each length. */
  readonly trials: number;
}

/** Powers of two from 1K to `most` times that. */
function doubling(most: number): number[] {
  return Array.from({ length: Math.log2(most) + 1 }, (_, i) => 1024 * 2 ** i);
}

const DEPTHS = 11;
export const presets = {
  quick: { suites: ['gemini'], lengths: doubling(32), depths: DEPTHS, trials: 1 },
  full: { suites: ['gemini', 'heldout', 'absent', 'multi', 'multi-at-once', 'ruler', 'mrcr', 'babilong', 'pdf', 'injection'], lengths: doubling(128), depths: DEPTHS, trials: 4 },
  /** The published grids. */
  gemini: { suites: ['gemini'], lengths: doubling(1024), depths: 8, trials: 1 },
  kamradt: { suites: ['kamradt'], lengths: kamradtLengths, depths: KAMRADT_STEPS, trials: 1 },
} as const satisfies Record<string, Preset>;
