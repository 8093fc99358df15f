/** Rows as text for people. */
import { bytes, clean, count } from '../ui/format.js';
import type { DocumentRow } from './documents.js';
import type { Asked, PartResult, Row, Tally } from './runner.js';
import type { Interval } from './statistics.js';
import type { Suite } from './trial.js';

/** From this length on, memory is worth a word. */
const LONG = 65_536;

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

/** 97.7 % (88.2-99.6) */
function withInterval(value: number, { low, high }: Interval): string {
  return `${percent(value)} (${(100 * low).toFixed(1)}-${(100 * high).toFixed(1)})`;
}

function formatTally(tally: Tally, suite: Suite): string {
  const { hits, notFound, trials, interval, notFoundInterval, score } = tally;
  const parts = [`${suite.hitName === undefined ? '' : `${suite.hitName} `}${hits}/${trials} ${withInterval(hits / trials, interval)}`];
  if (suite.scoreName !== undefined && score.mean !== hits / trials) parts.push(`${suite.scoreName} ${withInterval(score.mean, score)}`);
  // Where "not found" is right, the hits are these.
  if (notFound > 0 && notFound !== hits) parts.push(`not found ${notFound}/${trials} ${withInterval(notFound / trials, notFoundInterval)}`);
  return parts.join(', ');
}

function formatPart({ part, once, twice }: PartResult, label: string, suite: Suite): string {
  const name = part === '' ? '' : `${part}: `;
  return `${label.padStart(16)}  ${name}${formatTally(once, suite)}${twice === null ? '' : `; second look ${formatTally(twice, suite)}`}`;
}

function formatLength(length: number | null, suite: Suite): string {
  return length === null ? (suite.shortest ?? '') : `${count(length)} ${suite.unit ?? 'tokens'}`;
}

/** A line per part, and one that says what it took. */
export function formatRow(row: Row, suite: Suite): string[] {
  const lines = row.parts.map((part, i) => formatPart(part, i === 0 ? formatLength(row.length, suite) : '', suite));
  const [fewest, most] = row.documentTokens;
  const cost = [
    `${count(row.haystacks)} ${row.haystacks === 1 ? 'document' : 'documents'} of ${fewest === most ? '' : `${count(fewest)}-`}${count(most)} tokens`,
    `${row.seconds.toFixed(1)} s${row.parts.some(({ twice }) => twice !== null) ? ` (second look ${row.lookSeconds.toFixed(1)} s)` : ''}`,
    `${count(row.tokensPerSecond)} tokens/s read`,
  ];
  if ((row.length ?? 0) >= LONG) cost.push(`keys and values ${bytes(row.kvBytes)}`, `peak memory ${bytes(row.peakRssBytes)}`);
  return [...lines, `${''.padStart(16)}  ${cost.join(', ')}`];
}

export function formatMiss({ suite, length, question, response }: Asked): string {
  const where = question.depthPercent === undefined ? '' : ` ${question.depthPercent.toFixed(0)} %`;
  const answers = [response.once, response.twice].filter((answer) => answer !== null).map((answer) => JSON.stringify(answer));
  const expected = question.expected.length === 0 ? 'not found' : question.expected.join(' | ');
  return clean(`miss ${suite} ${length ?? 'shortest'}${where}: ${question.question} -> ${answers.join(', then ')} (${expected})`).replaceAll('\n', ' ');
}

export function formatDocuments(title: string, rows: readonly DocumentRow[]): string[] {
  const right = rows.filter((row) => row.right).length;
  const both = rows.filter((row) => row.right && row.rightPage).length;
  const whole = rows.filter((row) => row.wholeRight).length;
  return [
    `${title}: ${right} of ${rows.length} answers right, ${both} with the right page; ${whole} right without the second look`,
    ...rows.map(
      (row) =>
        `  ${row.right ? 'right' : 'WRONG'} ${row.rightPage ? 'page ' : 'PAGE?'} ${row.file}: ${row.question} -> ${row.answer} [p. ${row.citedPage ?? '-'}] (${row.expected}, p. ${row.page ?? '-'})`,
    ),
  ];
}
