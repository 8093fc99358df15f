/** A run beside an earlier one of the same questions, pair by pair. */
import { readFileSync } from 'node:fs';
import { ExitCode, LodestoneError } from '../errors.js';
import { sourceName } from '../ingest/name.js';
import { recordKey, type TrialRecord } from './record.js';
import type { HaystackLoss } from './perplexity.js';
import { differs, questionSettings, type RunSettings } from './settings.js';
import { mcnemarExact } from './statistics.js';

export interface Baseline {
  readonly file: string;
  readonly trials: readonly TrialRecord[];
  readonly loss: HaystackLoss | null;
}

export interface Comparison {
  readonly file: string;
  /** Questions that both runs answered. */
  readonly pairs: number;
  readonly hits_before: number;
  readonly hits_now: number;
  /** Found before and not now, and the other way round. */
  readonly lost: number;
  readonly gained: number;
  /** Recall before less recall now, over the pairs. */
  readonly drop: number;
  /** Exact McNemar test of the hits, two-sided. */
  readonly p: number;
  /** Mean losses of the haystack, in nats a token; null where either run measured none. */
  readonly losses: { readonly before: number; readonly now: number } | null;
}

/**
 * An earlier `--json` of the same questions.
 * Errors: LodestoneError(usage) where it asked other questions, with the setting that differs; unreadableInput.
 */
export function readBaseline(file: string, settings: RunSettings): Baseline {
  let json: { schema?: string; settings?: Partial<RunSettings>; trials?: TrialRecord[]; loss?: HaystackLoss | null } | null;
  try {
    json = JSON.parse(readFileSync(file, 'utf8')) as typeof json;
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `--baseline ${sourceName(file)}: ${(cause as Error).message}`, { cause });
  }
  if (json?.schema !== 'lodestone.needle/1' || json.settings === undefined || !Array.isArray(json.trials)) {
    throw new LodestoneError(ExitCode.unreadableInput, `--baseline ${sourceName(file)}: is not what lodestone needle --json prints`);
  }
  const other = differs(json.settings, settings, questionSettings);
  if (other !== null) throw new LodestoneError(ExitCode.usage, `--baseline ${sourceName(file)}: asked other questions: its ${other} differs from this run's`);
  return { file, trials: json.trials, loss: json.loss ?? null };
}

/** Errors: LodestoneError(usage) where the same place has another question. */
export function compare(baseline: Baseline, records: readonly TrialRecord[], loss: HaystackLoss | null): Comparison {
  const before = new Map(baseline.trials.map((record) => [recordKey(record), record]));
  const counts = { pairs: 0, hits_before: 0, hits_now: 0, lost: 0, gained: 0 };
  let scores = 0;
  for (const now of records) {
    const then = before.get(recordKey(now));
    if (now.control !== null || now.outcome === 'error' || then === undefined || then.outcome === 'error') continue;
    if (then.question !== now.question || JSON.stringify(then.expected) !== JSON.stringify(now.expected)) {
      throw new LodestoneError(ExitCode.usage, `--baseline ${sourceName(baseline.file)}: asked other questions: ${sourceName(then.question)}`);
    }
    const [was, is] = [then.outcome === 'hit', now.outcome === 'hit'];
    counts.pairs++;
    scores += then.score - now.score;
    if (was) counts.hits_before++;
    if (is) counts.hits_now++;
    if (was && !is) counts.lost++;
    if (!was && is) counts.gained++;
  }
  const drop = counts.pairs === 0 ? 0 : scores / counts.pairs;
  const then = baseline.loss;
  const losses = loss !== null && then !== null && then.tokens === loss.tokens ? { before: then.loss, now: loss.loss } : null;
  return { file: baseline.file, ...counts, drop, p: mcnemarExact(counts.lost, counts.gained), losses };
}
