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
  /** The same of films. */
  readonly seconds: readonly number[];
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
  quick: { suites: ['gemini'], lengths: doubling(32), seconds: [60, 300, 600], depths: DEPTHS, trials: 1 },
  full: { suites: ['gemini', 'heldout', 'absent', 'multi', 'multi-at-once', 'ruler', 'mrcr', 'babilong', 'pdf', 'injection', 'video'], lengths: doubling(128), seconds: [60, 300, 600, 1800, 3600], depths: DEPTHS, trials: 4 },
  /** The published grids. */
  gemini: { suites: ['gemini'], lengths: doubling(1024), seconds: Array.from({ length: 50 }, (_, i) => 72 * (i + 1)), depths: 8, trials: 1 },
  kamradt: { suites: ['kamradt'], lengths: kamradtLengths, seconds: [60, 300, 600], depths: KAMRADT_STEPS, trials: 1 },
} as const satisfies Record<string, Preset>;
