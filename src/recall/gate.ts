/** Limits that a run must keep, and one sentence for each about whether it does. */
import { count } from '../ui/format.js';
import type { Comparison } from './baseline.js';
import type { Counts, SuiteSummary } from './summary.js';

export interface GateLimits {
  /** Of each suite, all lengths together. 0..1, as all shares here. */
  readonly minRecall?: number;
  /** Of each cell of a grid; of each length and part, where a suite has none. */
  readonly minCell?: number;
  /** In tokens. */
  readonly effectiveLength?: number;
  readonly maxSeconds?: number;
  readonly maxDrop?: number;
  /** Of the perplexity of the haystack, either way, as a share of the baseline's. */
  readonly maxPerplexityChange?: number;
}

export interface Check {
  /** The option. */
  readonly name: string;
  readonly passed: boolean;
  /** One sentence: what was wanted, and what was found. */
  readonly message: string;
}

export interface Gate {
  readonly passed: boolean;
  readonly checks: readonly Check[];
}

export interface GateInput {
  readonly suites: readonly SuiteSummary[];
  readonly threshold: number;
  readonly seconds: number;
  readonly comparison: Comparison | null;
}

export function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}

export function lengthName(length: number | null, shortest: string): string {
  if (length === null) return shortest;
  if (length % (1024 * 1024) === 0) return `${length / (1024 * 1024)}M`;
  return length % 1024 === 0 ? `${length / 1024}K` : count(length);
}

/** null where there is no limit. */
export function checkGate(limits: GateLimits, input: GateInput): Gate | null {
  const { minRecall, minCell, effectiveLength, maxSeconds, maxDrop, maxPerplexityChange } = limits;
  const checks: Check[] = [];
  for (const suite of input.suites) {
    if (minRecall !== undefined) checks.push(checkRecall(suite, minRecall));
    if (minCell !== undefined) checks.push(checkCells(suite, minCell));
    if (effectiveLength !== undefined && suite.lengths.some((length) => length !== null)) checks.push(checkLength(suite, effectiveLength, input.threshold));
  }
  if (maxSeconds !== undefined) {
    const passed = input.seconds <= maxSeconds;
    checks.push({ name: 'max-seconds', passed, message: `the trials took ${input.seconds.toFixed(1)} s; the limit is ${maxSeconds} s` });
  }
  if (maxDrop !== undefined && input.comparison !== null) checks.push(checkDrop(input.comparison, maxDrop));
  const losses = input.comparison?.losses ?? null;
  if (maxPerplexityChange !== undefined && losses !== null) checks.push(checkPerplexity(losses, maxPerplexityChange));
  if (checks.length === 0) return null;
  // What was not answered was not passed.
  const errors = input.suites.reduce((sum, { overall }) => sum + overall.errors, 0);
  const answered = input.suites.reduce((sum, { overall }) => sum + overall.trials, 0);
  if (errors > 0 || answered === 0) checks.push({ name: 'errors', passed: false, message: `${errors} of ${answered} trials ended in an error and say nothing of recall` });
  return { passed: checks.every(({ passed }) => passed), checks };
}

/** The sentence for a person: which limit failed, and why. */
export function gateSentence({ passed, checks }: Gate): string {
  if (passed) return `gate passed: ${checks.length === 1 ? checks[0]!.message : `all ${checks.length} checks`}`;
  return `gate failed: ${checks.filter((check) => !check.passed).map(({ name, message }) => `${name}: ${message}`).join('; ')}`;
}

function shareOf({ hits, trials, errors, recall }: Counts): string {
  return recall === null ? 'none was answered' : `${percent(recall)} (${hits} of ${trials - errors})`;
}

function checkRecall({ name, overall }: SuiteSummary, least: number): Check {
  return { name: 'min-recall', passed: overall.recall !== null && overall.recall >= least, message: `recall of ${name} is ${shareOf(overall)}; the least is ${percent(least)}` };
}

function checkCells(suite: SuiteSummary, least: number): Check {
  const cells = suite.cells.length > 0 ? suite.cells : suite.rows;
  const failed = cells.filter(({ recall }) => recall === null || recall < least);
  if (failed.length === 0) return { name: 'min-cell', passed: cells.length > 0, message: `every cell of ${suite.name} has ${percent(least)} or more` };
  const worst = failed.reduce((a, b) => ((b.recall ?? -1) < (a.recall ?? -1) ? b : a));
  const where = 'depth' in worst ? `at depth ${Math.round(worst.depth)} %` : worst.part;
  const place = `${lengthName(worst.length, suite.shortest)} ${where}`.trim();
  return { name: 'min-cell', passed: false, message: `${failed.length} of ${cells.length} cells of ${suite.name} are below ${percent(least)}; the worst is ${place} with ${shareOf(worst)}` };
}

function checkLength(suite: SuiteSummary, least: number, threshold: number): Check {
  const found = suite.effective_length;
  const message = `effective length of ${suite.name} (recall of ${percent(threshold)} at it and at all shorter ones) is ${found === null ? 'none' : `${count(found)} ${suite.unit}`}; the least is ${count(least)}`;
  return { name: 'effective-length', passed: found !== null && found >= least, message };
}

/** Of a mean loss in nats, as a share of the perplexity: 0.01 is 1 % more. */
export function perplexityChange(before: number, now: number): number {
  return Math.exp(now - before) - 1;
}

/** A better figure than before is as suspicious: the same weights and the same text have one perplexity. */
export function checkPerplexity({ before, now }: { readonly before: number; readonly now: number }, most: number): Check {
  const change = perplexityChange(before, now);
  const message = `perplexity went from ${Math.exp(before).toPrecision(6)} to ${Math.exp(now).toPrecision(6)}, a change of ${(100 * change).toFixed(3)} %; the most, either way, is ${percent(most)}`;
  return { name: 'max-perplexity-change', passed: Math.abs(change) <= most, message };
}

/** A drop of one in ten is no more than 0.1, whatever its last bit. */
const ROUNDING = 1e-9;

function checkDrop({ file, pairs, hits_before: before, hits_now: now, lost, gained, drop, p }: Comparison, most: number): Check {
  if (pairs === 0) return { name: 'max-drop', passed: false, message: `no question was answered both here and in ${file}` };
  const message = `recall went from ${before} to ${now} of ${pairs} pairs (${lost} lost, ${gained} gained, p = ${p.toPrecision(2)}), a drop of ${percent(drop)}; the most is ${percent(most)}`;
  return { name: 'max-drop', passed: drop <= most + ROUNDING, message };
}
