/** What GitHub Actions shows: annotations, as commands in the log, and the summary of a step, in Markdown. */
import { gateSentence, lengthName, percent } from '../gate.js';
import { commandData, commandProperty, markdown } from './escape.js';
import { figureOf } from './heat.js';
import { heatMap } from './map.js';
import { boxesOf, describeTrial, type NeedleReport } from './report.js';

/** GitHub shows ten errors and ten warnings of a step. */
const MOST = 9;

/** Lines for the log: failed checks are errors, the worst boxes warnings. */
export function githubAnnotations(report: NeedleReport): string[] {
  const command = (kind: string, title: string, message: string): string => `::${kind} title=${commandProperty(title)}::${commandData(message)}`;
  const failed = (report.gate?.checks ?? []).filter(({ passed }) => !passed).slice(0, MOST);
  const lines = failed.map(({ name, message }) => command('error', `lodestone needle: ${name}`, message));
  const boxes = report.suites
    .flatMap((suite) => boxesOf(suite, report.trials).map((box) => ({ suite, ...box })))
    .filter(({ counts }) => counts.hits < counts.trials)
    .sort((a, b) => (a.counts.recall ?? -1) - (b.counts.recall ?? -1));
  for (const { suite, name, trials } of boxes.slice(0, MOST)) {
    lines.push(command('warning', `${suite.name} ${name}`, describeTrial(trials.find(({ outcome }) => outcome !== 'hit')!)));
  }
  if (report.gate?.passed === true) lines.push(command('notice', 'lodestone needle', gateSentence(report.gate)));
  return lines;
}

function square(recall: number | null): string {
  if (recall === null) return '\u2b1c';
  if (recall === 1) return '\u{1f7e9}';
  return recall >= 0.5 ? '\u{1f7e8}' : '\u{1f7e5}';
}

/** For $GITHUB_STEP_SUMMARY, far below its limit of 1 MiB. */
export function githubSummary(report: NeedleReport): string {
  const { model, device, gate } = report;
  const lines = [`## lodestone needle: ${markdown(model.id)}`, '', markdown(`${model.quantization} on ${device.name}, seed ${report.settings.seed}`), ''];
  if (gate !== null) lines.push(`**${markdown(gateSentence(gate))}**`, '');
  for (const suite of report.suites) {
    const { columns, rows } = heatMap(suite);
    const { overall } = suite;
    lines.push(`### ${markdown(suite.name)}: ${overall.recall === null ? 'nothing answered' : `${overall.hits} of ${overall.trials - overall.errors}, ${percent(overall.recall)}`}`, '');
    lines.push(`| | ${columns.map(markdown).join(' | ')} |`, `|---|${columns.map(() => '---:').join('|')}|`);
    for (const { name, cells } of rows) {
      lines.push(`| ${markdown(name)} | ${cells.map((cell) => (cell === null ? '' : `${square(cell.recall)} ${figureOf(cell)}`)).join(' | ')} |`);
    }
    lines.push('');
    if (suite.effective_length !== null) lines.push(`Effective length: ${lengthName(suite.effective_length, '')}`, '');
  }
  return `${lines.join('\n')}\n`;
}
