/** `lodestone reader eval`, after its options. */
import { abortError } from '../errors.js';
import { createRandom } from '../random.js';
import { policyStrategy } from '../reader/policy-strategy.js';
import { openPolicy } from '../reader/policy.js';
import { accuracy, budgetShares, estimate, evaluate, statistics, type EvaluatedStrategy, type Outcomes, type StatisticName } from '../reader/simulation/evaluate.js';
import { Simulation, testOptions } from '../reader/simulation/environment.js';
import { baselines } from '../reader/strategies.js';
import { mean } from '../reader/statistics.js';
import { liveLine } from '../ui/live-line.js';

export interface EvalOptions {
  readonly policy: string;
  readonly questions: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface Row extends Record<StatisticName, { readonly value: number; readonly low: number; readonly high: number }> {
  readonly name: string;
  /** By budget share. */
  readonly accuracies: readonly number[];
  /** Read at the largest budget. */
  readonly tokens: number;
}

function rowOf(name: string, outcomes: Outcomes): Row {
  const numbers = Object.fromEntries((Object.keys(statistics) as StatisticName[]).map((each) => [each, estimate(each, outcomes)])) as Record<StatisticName, Row['area']>;
  return { name, ...numbers, accuracies: outcomes.map(accuracy), tokens: mean(outcomes.at(-1)!.map(({ tokens }) => tokens)) };
}

export async function runEval(options: EvalOptions, signal: AbortSignal): Promise<void> {
  const policy = await openPolicy(options.policy);
  const line = liveLine(process.stderr, options.quiet !== true);
  const simulation = new Simulation(testOptions);
  const seeds = Array.from({ length: options.questions }, (_, i) => i);
  const compared: EvaluatedStrategy[] = [{ strategy: policyStrategy(policy), knowsBudget: true }, ...baselines(createRandom(0)).map((strategy) => ({ strategy, knowsBudget: false }))];
  const rows: Row[] = [];
  for (const [i, each] of compared.entries()) {
    line.show(`${each.strategy.name}  ${i + 1} / ${compared.length}`);
    rows.push(rowOf(each.strategy.name, evaluate(simulation, seeds, each)));
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (signal.aborted) throw abortError(signal);
  }
  line.clear();
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ schema: 'lodestone.reader-eval/1', policy: options.policy, trained_on: policy.description.trainedOn, questions: options.questions, budget_shares: budgetShares, strategies: rows })}\n`);
    return;
  }
  process.stdout.write(tableOf(rows));
}

/** The policy, then the others by their area. */
function tableOf([policy, ...others]: readonly Row[]): string {
  const show = ({ value, low, high }: Row['area']): string => `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`.padEnd(25);
  const lines = [policy!, ...others.sort((a, b) => b.area.value - a.area.value)].map((row) => `${row.name.padEnd(24)}${show(row['at 2 %'])}${show(row['at 5 %'])}${show(row.area)}${Math.round(row.tokens)}`);
  return [`${''.padEnd(24)}${'right at 2 %'.padEnd(25)}${'right at 5 %'.padEnd(25)}${'area under the curve'.padEnd(25)}tokens read`, ...lines, ''].join('\n');
}
