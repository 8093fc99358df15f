/** JUnit XML: a suite of tests for each suite of trials, a test for each box of its heat map, and one for each check of the gate. */
import { percent } from '../gate.js';
import { xml } from './escape.js';
import { boxesOf, describeTrial, type Box, type NeedleReport } from './report.js';

/** Readers keep what a test printed in memory. */
const NAMED_TRIALS = 20;

interface Case {
  readonly name: string;
  readonly seconds: number;
  readonly problem: { readonly tag: 'failure' | 'error'; readonly type: string; readonly message: string; readonly detail: string } | null;
}

/** A box fails where any of its trials does; whether that is too much is the gate's to say. */
function boxCase({ name, counts, trials }: Box): Case {
  const seconds = trials.reduce((sum, trial) => sum + trial.seconds, 0);
  const detail = trials.filter(({ outcome }) => outcome !== 'hit').slice(0, NAMED_TRIALS).map(describeTrial).join('\n');
  if (counts.errors > 0) return { name, seconds, problem: { tag: 'error', type: 'TrialError', message: `${counts.errors} of ${counts.trials} trials ended in an error`, detail } };
  if (counts.hits === counts.trials) return { name, seconds, problem: null };
  const message = `found ${counts.hits} of ${counts.trials} (${percent(counts.recall ?? 0)}): ${counts.misses} missed, ${counts.refusals} refused`;
  return { name, seconds, problem: { tag: 'failure', type: 'RecallMiss', message, detail } };
}

function caseXml(classname: string, { name, seconds, problem }: Case): string {
  const head = `    <testcase name="${xml(name)}" classname="${xml(classname)}" time="${seconds.toFixed(3)}"`;
  if (problem === null) return `${head}/>`;
  const { tag, type, message, detail } = problem;
  return `${head}>\n      <${tag} type="${type}" message="${xml(message)}">${xml(detail)}</${tag}>\n    </testcase>`;
}

interface Totals {
  readonly tests: number;
  readonly failures: number;
  readonly errors: number;
  readonly seconds: number;
}

function totalsOf(cases: readonly Case[]): Totals {
  const of = (tag: string): number => cases.filter(({ problem }) => problem?.tag === tag).length;
  return { tests: cases.length, failures: of('failure'), errors: of('error'), seconds: cases.reduce((sum, one) => sum + one.seconds, 0) };
}

function attributes({ tests, failures, errors, seconds }: Totals): string {
  return `tests="${tests}" failures="${failures}" errors="${errors}" skipped="0" time="${seconds.toFixed(3)}"`;
}

export function junitReport(report: NeedleReport): string {
  const suites = report.suites.map((suite) => ({ name: `needle.${suite.name}`, cases: boxesOf(suite, report.trials).map(boxCase) }));
  if (report.gate !== null) {
    const cases = report.gate.checks.map(({ name, passed, message }, i): Case => ({
      name: `${name} ${i + 1}: ${message}`,
      seconds: 0,
      problem: passed ? null : { tag: 'failure', type: 'GateFailed', message, detail: '' },
    }));
    suites.push({ name: 'needle.gate', cases });
  }
  const { model, device, settings, started_at: started } = report;
  const properties = Object.entries({ model: model.id, quantization: model.quantization, device: device.name, kv: settings.kv, looks: settings.looks, seed: settings.seed });
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="lodestone needle" ${attributes(totalsOf(suites.flatMap(({ cases }) => cases)))} timestamp="${xml(started)}">`,
  ];
  for (const { name, cases } of suites) {
    lines.push(`  <testsuite name="${xml(name)}" ${attributes(totalsOf(cases))} timestamp="${xml(started)}">`, '    <properties>');
    for (const [key, value] of properties) lines.push(`      <property name="${key}" value="${xml(String(value))}"/>`);
    lines.push('    </properties>', ...cases.map((one) => caseXml(`${name}.${model.id}`, one)), '  </testsuite>');
  }
  return `${lines.join('\n')}\n</testsuites>\n`;
}
