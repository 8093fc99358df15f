/**
 * Fixed rules for what to read next, the same in simulation and on real corpora: what a trained policy has to beat, and what is used where
 * there is none. None of them searches again.
 */
import { leastWorth } from '../answer/second-look.js';
import { pick, randomBelow, type Random } from '../random.js';
import type { Ending } from './decision.js';
import { levels, type Action, type Level, type ReadingState } from './reading-state.js';

/** What to do next, and what reading on is thought to be worth over ending; null where there are no values. */
export interface Choice {
  readonly action: Action;
  readonly gain: number | null;
}

/** Decides one reading, step by step. */
export type Chooser = (state: ReadingState) => Choice;

export interface Strategy {
  readonly name: string;
  /** For one question. */
  begin(): Chooser;
}

function withoutValues(action: Action): Choice {
  return { action, gain: null };
}

/** Ends with the best answer where it is worth that much; by default, where the second look's rule would give it. */
export function endByRule(state: ReadingState, least = leastWorth): { readonly kind: Ending } {
  return { kind: state.best().worth >= least ? 'answer' : 'abstain' };
}

/** One reading of an order. */
type Reading = Extract<Action, { leaf: number }>;

interface StopRule {
  /** What is found worth that much ends the reading. Default: nothing does. */
  readonly enough?: number;
  /** What is worth less is no answer. Default: the second look's rule. */
  readonly least?: number;
}

/** Reads in an order until the budget, the order or the rule ends it. */
function readInOrder(name: string, order: (state: ReadingState) => Iterator<Reading>, { enough = Infinity, least }: StopRule = {}): Strategy {
  return {
    name,
    begin() {
      let readings: Iterator<Reading> | null = null;
      return (state) => {
        readings ??= order(state);
        const next = state.best().worth >= enough ? undefined : readings.next();
        if (next === undefined || next.done === true || state.cost(next.value.leaf, next.value.kind) > state.remaining) return withoutValues(endByRule(state, least));
        return withoutValues(next.value);
      };
    },
  };
}

function* readHits({ hits }: ReadingState, kind: Level, most = Infinity): Generator<Reading> {
  for (const { leaf } of hits.slice(0, most)) yield { kind, leaf };
}

/** The k best by BM25. */
export function topK(k: number, level: Level = 'read'): Strategy {
  return readInOrder(`top-${k} ${level}`, (state) => readHits(state, level, k));
}

/** The best by BM25, until something worth `enough` is found; if that is nowhere, there is no answer. */
export function threshold(enough: number, level: Level): Strategy {
  return readInOrder(`threshold ${enough} ${level}`, (state) => readHits(state, level), { enough, least: enough });
}

/** Every leaf from the first on. */
export const sequential: Strategy = readInOrder('sequential', function* all({ corpus }) {
  for (let leaf = 0; leaf < corpus.index.index.leaves; leaf++) yield { kind: 'read', leaf };
});

export function randomLeaves(random: Random): Strategy {
  return readInOrder('random', function* any({ corpus }) {
    const { leaves } = corpus.index.index;
    for (let i = 0; i < leaves; i++) yield { kind: 'read', leaf: randomBelow(leaves, random) };
  });
}

/**
 * Relevance and coverage, after AKS (arXiv 2502.21271): the corpus is halved again and again, and of each part the best hit that is not
 * taken yet comes next.
 */
export const coverage: Strategy = readInOrder('coverage', function* parts({ hits, corpus }) {
  const { leaves } = corpus.index.index;
  const taken = new Set<number>();
  for (let count = 1; count <= 2 * leaves && taken.size < hits.length; count *= 2) {
    const bestOf = new Map<number, number>();
    for (const { leaf } of hits) {
      const part = Math.floor((leaf * count) / leaves);
      if (!taken.has(leaf) && !bestOf.has(part)) bestOf.set(part, leaf);
    }
    for (const [, leaf] of [...bestOf].sort(([a], [b]) => a - b)) {
      taken.add(leaf);
      yield { kind: 'read', leaf };
    }
  }
});

/**
 * What is used where no trained policy is there. Simulated questions share more words with their answers than people's do, so what is worth
 * an answer is left to the rule of the second look, which was tuned on real documents.
 */
export const defaultStrategy: Strategy = readInOrder(
  'skim, then read',
  function* deeper(state) {
    for (const level of levels) yield* readHits(state, level);
  },
  { enough: 0.3 },
);

const THRESHOLDS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8];

/** Everything that a policy is compared with. */
export function baselines(random: Random): Strategy[] {
  return [
    ...Array.from({ length: 16 }, (_, i) => topK(i + 1)),
    ...levels.flatMap((level) => THRESHOLDS.map((enough) => threshold(enough, level))),
    defaultStrategy,
    coverage,
    sequential,
    randomLeaves(random),
  ];
}

/** Any of the legal actions. */
export function anyAction(random: Random): Strategy {
  return { name: 'any action', begin: () => (state) => withoutValues(pick(state.actions(), random)) };
}
