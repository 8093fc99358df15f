/** The plain-text twin of the terminal's view: tables for people, pipes and screen readers. */
import { count } from '../../ui/format.js';
import { gateSentence, lengthName, percent } from '../gate.js';
import { NEAR, type Counts, type SuiteSummary } from '../summary.js';
import { oneLine } from './escape.js';
import { figureOf } from './heat.js';
import { heatMap } from './map.js';
import { describeTrial, type NeedleReport } from './report.js';

/** Columns as wide as their widest cell, the first to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows.map((row) => `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}`.trimEnd());
}

function countCells({ hits, misses, refusals, errors, trials, recall, interval: [low, high] }: Counts): string[] {
  const share = recall === null ? ['-', '-'] : [percent(recall), `${(100 * low).toFixed(1)}-${(100 * high).toFixed(1)}`];
  return [`${hits}/${trials - errors}`, ...share, `${misses}`, `${refusals}`, `${errors}`];
}

export function mapLines(suite: SuiteSummary): string[] {
  const { columns, rows } = heatMap(suite);
  return table([['depth', ...columns], ...rows.map(({ name, cells }) => [oneLine(name).padStart(5), ...cells.map((cell) => (cell === null ? '.' : figureOf(cell)))])]);
}

/** What the heat map does not say: intervals, the ways to miss, controls, effective length. */
export function figureLines(suite: SuiteSummary, threshold: number): string[] {
  const { controls, overall } = suite;
  const rows = suite.rows.map((row) => [`${lengthName(row.length, suite.shortest)}${row.part === '' ? '' : ` ${oneLine(row.part)}`}`, ...countCells(row)]);
  if (rows.length > 1) rows.push(['all', ...countCells(overall)]);
  if (controls.alone !== null) rows.push(['needle alone', ...countCells(controls.alone)]);
  if (controls.without !== null) rows.push(['without it (chance)', ...countCells(controls.without)]);
  const lines = table([[suite.unit, 'found', 'recall', '95 %', 'missed', 'refused', 'errors'], ...rows]);
  if (overall.chance > 0) lines.push(`  guessing among what the documents offer would get ${percent(overall.chance)}`);
  if (suite.lengths.some((length) => length !== null)) {
    const length = suite.effective_length;
    lines.push(`  effective length (${percent(threshold)} at it and at all shorter ones): ${length === null ? 'none of these' : `${count(length)} ${suite.unit}`}`);
  }
  if (suite.reads_back !== null) {
    const { tokens, of } = suite.reads_back;
    lines.push(tokens === of ? `  reads back to its start: every needle was found, the first ${count(of)} tokens before the end` : `  reads back ${count(tokens)} tokens: every needle in them was found (the first is ${count(of)} tokens before the end)`);
  }
  if (suite.recorded !== null) {
    const { perceived, of, found, near } = suite.recorded;
    lines.push(`  what is asked for was heard or read in ${perceived} of ${of} recordings; of ${found} right answers ${near} are cited within ${NEAR} s of the truth`);
  }
  return lines;
}

export function headLine({ model, device, settings }: Pick<NeedleReport, 'model' | 'device' | 'settings'>): string {
  const reading = settings.looks === 0 ? 'one reading' : `one reading and ${settings.looks} looks`;
  return oneLine(`${model.id} ${model.quantization} on ${device.adapter}, keys and values ${settings.kv}, ${reading}, seed ${settings.seed}`);
}

/** The last lines: what it took, against what it was held, and whether that is enough. */
export function endLines({ seconds, reading, loss, comparison, gate, trials }: NeedleReport): string[] {
  const { document_tokens: tokens, tokens_reused: reused } = reading;
  const lines = [`${count(trials.length)} trials, controls included, in ${seconds.toFixed(1)} s; of ${count(tokens)} tokens of documents ${count(reused)} (${percent(tokens === 0 ? 0 : reused / tokens)}) were the beginning of the document before, and not read again`];
  if (comparison !== null) {
    const { file, pairs, hits_before: before, hits_now: now, lost, gained, p } = comparison;
    lines.push(oneLine(`against ${file}: ${before} -> ${now} of ${pairs} pairs, ${lost} lost, ${gained} gained, p = ${p.toPrecision(2)} (exact McNemar)`));
  }
  if (loss !== null) lines.push(`perplexity of the first ${count(loss.tokens)} tokens of the haystack: ${Math.exp(loss.loss).toPrecision(6)}`);
  if (gate !== null) lines.push(oneLine(gateSentence(gate)));
  return lines;
}

export function missLines(report: NeedleReport): string[] {
  const missed = report.trials.filter(({ control, outcome }) => control === null && outcome !== 'hit');
  return missed.map((trial) => oneLine(`${trial.outcome} ${trial.suite} ${trial.length ?? ''} ${trial.depth === null ? trial.part : `${Math.round(trial.depth)} %`}: ${describeTrial(trial)}`));
}

export function textReport(report: NeedleReport): string {
  const lines = [headLine(report)];
  for (const suite of report.suites) lines.push('', oneLine(`${suite.name}: ${suite.about}`), ...mapLines(suite), '', ...figureLines(suite, report.threshold));
  return `${[...lines, '', ...endLines(report)].join('\n')}\n`;
}
