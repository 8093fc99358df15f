/** What people are told of a reading within a budget. */
import type { AskEvent, BudgetStep } from '../answer/answer.js';
import { shortClock } from '../clock.js';
import { sourceName } from '../ingest/name.js';
import { clean, count } from './format.js';

const DOING: Readonly<Record<BudgetStep['action'], string>> = { skim: 'skimming', read: 'reading', inspect: 'looking around', requery: 'searching again with what was found' };

/** "skimming big.txt, line 20". */
export function stepPlace({ action, source, page, line, time }: BudgetStep): string {
  if (source === undefined) return DOING[action];
  const at = page === undefined ? (time === undefined ? (line === undefined ? '' : `, line ${count(line)}`) : `, ${shortClock(time)}`) : `, page ${count(page)}`;
  return `${DOING[action]} ${clean(sourceName(source))}${at}`;
}

/** "read 1,240 of about 262,000 tokens (0.5 %) in 9 steps, then stopped: reading on was thought to be worth -0.02". */
export function stopLine({ reason, tokens, steps, corpus_tokens, gain }: Extract<AskEvent, { type: 'stop' }>): string {
  const share = (100 * tokens) / Math.max(1, corpus_tokens);
  const why = reason === 'budget' ? 'the budget was used up' : reason === 'steps' ? 'no more steps are allowed' : gain === null ? 'its rule was met' : `reading on was thought to be worth ${gain.toFixed(2)}`;
  return `read ${count(tokens)} of about ${count(corpus_tokens)} tokens (${Number(share.toPrecision(2))} %) in ${count(steps)} ${steps === 1 ? 'step' : 'steps'}; ${why}`;
}
