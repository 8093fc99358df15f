/** All of a run: what `lodestone needle --json` prints, and what every report is made from. */
import type { Comparison } from '../baseline.js';
import { lengthName, type Gate } from '../gate.js';
import type { HaystackLoss } from '../perplexity.js';
import type { TrialRecord } from '../record.js';
import type { RunSettings } from '../settings.js';
import type { Counts, SuiteSummary } from '../summary.js';

export interface NeedleReport {
  readonly schema: 'lodestone.needle/1';
  /** ISO 8601, UTC. */
  readonly started_at: string;
  readonly settings: RunSettings;
  readonly model: { readonly id: string; readonly quantization: string; readonly weight_bytes: number | null; readonly context: number | null };
  readonly device: { readonly name: string; readonly adapter: string };
  readonly haystacks: readonly { readonly path: string; readonly sha256: string }[];
  /** Of the effective length. */
  readonly threshold: number;
  /** Of all trials and controls, those from a log included. */
  readonly seconds: number;
  /** Of all documents, and what of them was not read again because the document before began so. */
  readonly reading: { readonly document_tokens: number; readonly tokens_reused: number };
  readonly suites: readonly SuiteSummary[];
  /** How the haystack's beginning is foretold; null where nobody asked. */
  readonly loss: HaystackLoss | null;
  readonly comparison: Comparison | null;
  readonly gate: Gate | null;
  readonly trials: readonly TrialRecord[];
}

/** One box of a heat map: a length and, in a grid, a depth; else a part. */
export interface Box {
  readonly name: string;
  readonly counts: Counts;
  readonly trials: readonly TrialRecord[];
}

/** The boxes of a suite, by length and then by depth or part, with what was asked in each. */
export function boxesOf(suite: SuiteSummary, trials: readonly TrialRecord[]): Box[] {
  const asked = trials.filter((trial) => trial.suite === suite.name && trial.control === null);
  if (suite.depths.length > 0) {
    return suite.cells.map((cell) => ({
      name: `len=${lengthName(cell.length, suite.shortest)} depth=${Math.round(cell.depth)}%`,
      counts: cell,
      trials: asked.filter(({ length, depth }) => length === cell.length && depth === cell.depth),
    }));
  }
  return suite.rows.map((row) => ({
    name: `len=${lengthName(row.length, suite.shortest)}${row.part === '' ? '' : ` ${row.part}`}`,
    counts: row,
    trials: asked.filter(({ length, part }) => length === row.length && part === row.part),
  }));
}

/** "The special magic ... number?" -> "1234567" (wanted "7654321") */
export function describeTrial({ question, answer, expected, error }: TrialRecord): string {
  if (error !== null) return `${question} -> error: ${error}`;
  const given = answer === '' ? 'not found' : JSON.stringify(answer);
  return `${question} -> ${given} (wanted ${expected.length === 0 ? 'not found' : expected.map((one) => JSON.stringify(one)).join(' or ')})`;
}

/** A document's figures stand in each of its records, once for every question. */
export function readingOf(trials: readonly TrialRecord[]): NeedleReport['reading'] {
  const documents = new Map(trials.map((trial) => [JSON.stringify([trial.suite, trial.control, trial.length, trial.document_sha256]), trial]));
  const sum = (value: (trial: TrialRecord) => number): number => [...documents.values()].reduce((total, trial) => total + value(trial), 0);
  return { document_tokens: sum((trial) => trial.document_tokens), tokens_reused: sum((trial) => trial.tokens_reused) };
}
