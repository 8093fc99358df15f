/** TAP 14: a test for each box of the heat maps, and one for each check of the gate. */
import { tapDescription, yaml } from './escape.js';
import { boxesOf, type NeedleReport } from './report.js';

export function tapReport(report: NeedleReport): string {
  const lines: string[] = [];
  let number = 0;
  const test = (ok: boolean, description: string, notes: readonly (readonly [string, string])[]): void => {
    lines.push(`${ok ? 'ok' : 'not ok'} ${++number} - ${tapDescription(description)}`);
    if (notes.length > 0) lines.push('  ---', ...notes.map(([key, value]) => `  ${key}: ${value}`), '  ...');
  };
  for (const suite of report.suites) {
    for (const { name, counts, trials } of boxesOf(suite, report.trials)) {
      const first = trials.find(({ outcome }) => outcome !== 'hit');
      const { hits, misses, refusals, errors } = counts;
      test(first === undefined, `${suite.name} ${name}`, first === undefined ? [] : [
        ['hits', `${hits}`],
        ['misses', `${misses}`],
        ['refusals', `${refusals}`],
        ['errors', `${errors}`],
        ['question', yaml(first.question)],
        ['expected', yaml(first.expected.join(' | '))],
        first.error === null ? ['got', yaml(first.answer)] : ['error', yaml(first.error)],
      ]);
    }
  }
  for (const { name, passed, message } of report.gate?.checks ?? []) test(passed, `gate ${name}: ${message}`, []);
  return `${['TAP version 14', `1..${number}`, ...lines].join('\n')}\n`;
}
