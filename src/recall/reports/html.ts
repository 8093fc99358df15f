/**
 * HTML in one file that runs nothing and loads nothing: a box of a heat map is a link to its trials, which are shown when
 * they are the link's target.
 */
import { gateSentence, lengthName, percent } from '../gate.js';
import type { Counts, SuiteSummary } from '../summary.js';
import type { TrialRecord } from '../record.js';
import { xml } from './escape.js';
import { colourOf, figureOf, hex } from './heat.js';
import { heatMap } from './map.js';
import type { NeedleReport } from './report.js';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1d1d1f; background: #fff }
table { border-collapse: collapse; margin: .6rem 0 } th, td { padding: .2rem .6rem; text-align: right; vertical-align: top }
.map td { padding: 0 } .map a { display: block; padding: .2rem .6rem; min-width: 2.4rem; color: #111; text-decoration: none } .map a:focus, .map a:hover { outline: 2px solid #06c }
.trials { display: none } .trials:target { display: block } .trials td, .trials th { text-align: left; border-bottom: 1px solid #ddd; white-space: pre-wrap; overflow-wrap: anywhere }
.passed { color: #17692a } .failed { color: #b3201c }`;

function counts({ hits, misses, refusals, errors, trials, recall, interval: [low, high] }: Counts): string {
  const share = recall === null ? '-' : `${percent(recall)} (${percent(low)} - ${percent(high)})`;
  return `<td>${share}</td><td>${hits}</td><td>${misses}</td><td>${refusals}</td><td>${errors}</td><td>${trials}</td>`;
}

function trialRows(trials: readonly TrialRecord[]): string {
  return trials
    .map(({ outcome, question, expected, answer, once, error, document_tokens: tokens, seconds }) => {
      const wanted = expected.length === 0 ? 'not found' : expected.join(' | ');
      const given = error !== null ? `error: ${error}` : `${answer === '' ? 'not found' : answer}${once === null || once === answer ? '' : `\nby one reading: ${once === '' ? 'not found' : once}`}`;
      return `<tr><td>${outcome}</td><td>${xml(question)}</td><td>${xml(wanted)}</td><td>${xml(given)}</td><td>${tokens}</td><td>${seconds.toFixed(2)}</td></tr>`;
    })
    .join('\n');
}

/** @param n of the suite, so that ids hold no text from outside */
function suiteHtml(suite: SuiteSummary, all: readonly TrialRecord[], n: number): string {
  const { columns, rows } = heatMap(suite);
  const asked = all.filter((trial) => trial.suite === suite.name && trial.control === null);
  const inGrid = suite.depths.length > 0;
  const drawers: string[] = [];
  const map = rows.map((row, j) => {
    const cells = row.cells.map((cell, i) => {
      if (cell === null) return '<td></td>';
      const id = `c${n}-${i}-${j}`;
      const trials = asked.filter(({ length, depth, part }) => length === suite.lengths[i] && (inGrid ? depth === suite.depths[j] : (part === '' ? 'all' : part) === row.name));
      drawers.push(
        `<section class="trials" id="${id}"><h3>${xml(`${suite.name}, ${columns[i]!}, ${row.name}`)}</h3><table><tr><th>outcome</th><th>question</th><th>wanted</th><th>answer</th><th>tokens</th><th>s</th></tr>\n${trialRows(trials)}</table></section>`,
      );
      return `<td style="background:${hex(colourOf(cell))}"><a href="#${id}">${figureOf(cell)}</a></td>`;
    });
    return `<tr><th>${xml(row.name)}</th>${cells.join('')}</tr>`;
  });
  const { alone, without } = suite.controls;
  const table = [
    ...suite.rows.map((row) => `<tr><th>${xml(`${lengthName(row.length, suite.shortest)} ${row.part}`.trim())}</th>${counts(row)}</tr>`),
    `<tr><th>all</th>${counts(suite.overall)}</tr>`,
    ...(alone === null ? [] : [`<tr><th>control: needle alone</th>${counts(alone)}</tr>`]),
    ...(without === null ? [] : [`<tr><th>control: haystack without it (chance)</th>${counts(without)}</tr>`]),
  ];
  const notes = [
    ...(suite.effective_length === null ? [] : [`Effective length: ${suite.effective_length} tokens.`]),
    ...(suite.reads_back === null ? [] : [`Everything is found back to ${suite.reads_back.tokens} of ${suite.reads_back.of} tokens before the end.`]),
  ];
  return `<h2>${xml(suite.name)}</h2><p>${xml(suite.about)}</p>
<table class="map"><tr><th></th>${columns.map((name) => `<th>${xml(name)}</th>`).join('')}</tr>
${map.join('\n')}</table>
<p>${notes.join(' ')}</p>
${drawers.join('\n')}
<table><tr><th></th><th>recall (95 %)</th><th>hits</th><th>misses</th><th>refusals</th><th>errors</th><th>trials</th></tr>
${table.join('\n')}</table>`;
}

export function htmlReport(report: NeedleReport): string {
  const { model, device, settings, gate, haystacks } = report;
  const about = `${model.id} (${model.quantization}, keys and values ${settings.kv}) on ${device.adapter}; seed ${settings.seed}, ${settings.looks === 0 ? 'one reading' : `${settings.looks} looks`}; ${report.started_at}`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width"><title>lodestone needle: ${xml(model.id)}</title><style>${STYLE}
</style></head><body><h1>lodestone needle</h1>
<p>${xml(about)}</p>
<p>Haystack: ${haystacks.map(({ path }) => xml(path)).join(', ') || 'made for each suite'}. Recall in %, lengths in tokens across, depths down; click a box for its trials.</p>
${gate === null ? '' : `<p class="${gate.passed ? 'passed' : 'failed'}">${xml(gateSentence(gate))}</p>`}
${report.suites.map((suite, n) => suiteHtml(suite, report.trials, n)).join('\n')}
</body></html>
`;
}
