/** Names of `lodestone needle`: its suites, and what it asks where nothing is said. */

export const RULER = ['multikey', 'multikey-uuid', 'multivalue', 'multiquery', 'variable-tracking'] as const;

/** `ruler` is all of its tasks that there are. */
export const needleSuites = ['gemini', 'heldout', 'absent', 'multi', 'ruler', ...RULER, 'canary'] as const;
export type NeedleSuite = (typeof needleSuites)[number];

export interface Preset {
  readonly suites: readonly NeedleSuite[];
  readonly lengths: readonly number[];
  readonly trials: number;
}

const K = 1024;
export const presets = {
  quick: { suites: ['gemini'], lengths: [1, 2, 4, 8, 16, 32].map((n) => n * K), trials: 1 },
  full: { suites: ['gemini', 'heldout', 'absent', 'multi', 'ruler'], lengths: [1, 2, 4, 8, 16, 32, 64, 128].map((n) => n * K), trials: 4 },
} as const satisfies Record<string, Preset>;
