/** Figures from records: recall with its interval by length, by cell of the grid, by control, and overall. */
import type { TrialRecord } from './record.js';
import { wilson } from './statistics.js';
import type { PlannedSuite } from './trials.js';

export interface Counts {
  readonly hits: number;
  readonly misses: number;
  readonly refusals: number;
  /** Outside of `recall`: they say nothing of it. */
  readonly errors: number;
  /** All of them together. */
  readonly trials: number;
  /** Mean score of those that were answered: the share of hits, where the suite gives nothing for a part; null where none was. */
  readonly recall: number | null;
  /** What guessing would score in the mean. */
  readonly chance: number;
  /** Wilson, 95 %; of parts, as if their sum were hits. */
  readonly interval: readonly [number, number];
}

export interface LengthRow extends Counts {
  readonly length: number | null;
  readonly part: string;
  /** The fewest and the most that a document had. */
  readonly document_tokens: readonly [number, number];
  readonly seconds: number;
  /** Of the needle alone: recall here as a share of recall there. */
  readonly retention: number | null;
}

export interface Cell extends Counts {
  readonly length: number | null;
  readonly depth: number;
}

export interface ReadsBack {
  /** All needles with no more tokens behind them were found, in every trial. */
  readonly tokens: number;
  /** Behind the first needle. */
  readonly of: number;
}

export interface RecordedCounts {
  /** Recordings in whose text stands what is asked for, of `of`. */
  readonly perceived: number;
  readonly of: number;
  /** Right answers, and those of them whose place is cited within `NEAR` seconds of the truth. */
  readonly found: number;
  readonly near: number;
}

export interface SuiteSummary {
  readonly name: string;
  readonly about: string;
  readonly lengths: readonly (number | null)[];
  /** What a length that is null is called. */
  readonly shortest: string;
  /** Of the grid; empty where the suite has none. */
  readonly depths: readonly number[];
  readonly overall: Counts;
  readonly rows: readonly LengthRow[];
  readonly cells: readonly Cell[];
  /** The longest length whose recall, and that of every shorter one, reaches the threshold; null: none. */
  readonly effective_length: number | null;
  readonly controls: { readonly alone: Counts | null; readonly without: Counts | null };
  readonly reads_back: ReadsBack | null;
  /** Of recordings; null where nothing was one. */
  readonly recorded: RecordedCounts | null;
  /** What lengths count. */
  readonly unit: 'tokens' | 'seconds';
}

/** Seconds from the truth. */
export const NEAR = 2;

export function countOutcomes(records: readonly TrialRecord[]): Counts {
  const of = (outcome: TrialRecord['outcome']): number => records.filter((record) => record.outcome === outcome).length;
  const [hits, misses, refusals, errors] = [of('hit'), of('miss'), of('refusal'), of('error')] as const;
  const answered = records.length - errors;
  const mean = (value: (record: TrialRecord) => number): number => records.reduce((sum, record) => sum + (record.outcome === 'error' ? 0 : value(record)), 0) / Math.max(1, answered);
  const recall = mean(({ score }) => score);
  const { low, high } = wilson(recall * answered, answered);
  return { hits, misses, refusals, errors, trials: records.length, recall: answered === 0 ? null : recall, chance: mean(({ chance }) => chance), interval: [low, high] };
}

/** @param threshold of the effective length, 0..1 */
export function summarise(plan: readonly PlannedSuite[], records: readonly TrialRecord[], threshold: number): SuiteSummary[] {
  return plan.map((planned) => summariseSuite(planned, records.filter(({ suite }) => suite === planned.suite.name), threshold));
}

function summariseSuite({ suite, lengths }: PlannedSuite, records: readonly TrialRecord[], threshold: number): SuiteSummary {
  const asked = records.filter(({ control }) => control === null);
  const control = (name: TrialRecord['control']): Counts | null => {
    const list = records.filter((record) => record.control === name);
    return list.length === 0 ? null : countOutcomes(list);
  };
  const alone = control('alone');
  const depths = suite.depths ?? [];
  const of = (length: number | null): TrialRecord[] => asked.filter((record) => record.length === length);
  const parts = [...new Set(asked.map(({ part }) => part))];
  const rows = lengths.flatMap((length) =>
    parts.flatMap((part) => {
      const list = of(length).filter((record) => record.part === part);
      return list.length === 0 ? [] : [lengthRow(length, part, list, alone)];
    }),
  );
  const cells = lengths.flatMap((length) =>
    depths.flatMap((depth) => {
      const list = of(length).filter((record) => record.depth === depth);
      return list.length === 0 ? [] : [{ length, depth, ...countOutcomes(list) }];
    }),
  );
  return {
    name: suite.name,
    about: suite.about,
    lengths,
    shortest: suite.shortest ?? 'shortest',
    depths,
    overall: countOutcomes(asked),
    rows,
    cells,
    effective_length: effectiveLength(lengths, (length) => countOutcomes(of(length)).recall, threshold),
    controls: { alone, without: control('without') },
    reads_back: readsBack(asked),
    recorded: countRecorded(asked),
    unit: suite.unit ?? 'tokens',
  };
}

function lengthRow(length: number | null, part: string, records: readonly TrialRecord[], alone: Counts | null): LengthRow {
  const counts = countOutcomes(records);
  const tokens = records.filter(({ outcome }) => outcome !== 'error').map(({ document_tokens }) => document_tokens);
  const retention = counts.recall === null || !alone?.recall ? null : counts.recall / alone.recall;
  return {
    length,
    part,
    ...counts,
    document_tokens: tokens.length === 0 ? [0, 0] : [tokens.reduce((a, b) => Math.min(a, b)), tokens.reduce((a, b) => Math.max(a, b))],
    seconds: records.reduce((sum, { seconds }) => sum + seconds, 0),
    retention,
  };
}

/** As RULER counts it: a longer length does not make up for a shorter one that failed. */
export function effectiveLength(lengths: readonly (number | null)[], recallAt: (length: number) => number | null, threshold: number): number | null {
  let effective: number | null = null;
  for (const length of lengths.filter((one) => one !== null).sort((a, b) => a - b)) {
    if ((recallAt(length) ?? 0) < threshold) break;
    effective = length;
  }
  return effective;
}

function readsBack(records: readonly TrialRecord[]): ReadsBack | null {
  const placed = records.filter(({ tokens_behind, outcome }) => tokens_behind !== null && outcome !== 'error');
  if (placed.length === 0) return null;
  const sorted = placed.map(({ tokens_behind, outcome }) => ({ behind: tokens_behind!, outcome })).sort((a, b) => a.behind - b.behind);
  const nearestLost = sorted.find(({ outcome }) => outcome !== 'hit')?.behind ?? Infinity;
  const found = sorted.filter(({ behind }) => behind < nearestLost);
  return { tokens: found.at(-1)?.behind ?? 0, of: sorted.at(-1)!.behind };
}

function countRecorded(records: readonly TrialRecord[]): RecordedCounts | null {
  const of = records.filter((record) => record.recorded !== null && record.outcome !== 'error');
  if (of.length === 0) return null;
  const found = of.filter(({ outcome }) => outcome === 'hit');
  return {
    perceived: of.filter((record) => record.recorded!.perceived).length,
    of: of.length,
    found: found.length,
    near: found.filter((record) => (record.recorded!.seconds_off ?? Infinity) <= NEAR).length,
  };
}
