/** `lodestone reader eval`, after its options. */
import { abortError } from '../errors.js';
import { createRandom } from '../random.js';
import { policyStrategy } from '../reader/policy-strategy.js';
import { openPolicy } from '../reader/policy.js';
import { accuracy, budgetShares, estimate, evaluate, statistics, type Estimate, type EvaluatedStrategy, type Outcome, type Outcomes, type StatisticName } from '../reader/simulation/evaluate.js';
import { Simulation, testOptions, validationOptions } from '../reader/simulation/environment.js';
import { baselines, type Chooser, type Strategy } from '../reader/strategies.js';
import { mean } from '../reader/statistics.js';
import { liveLine } from '../ui/live-line.js';

export interface EvalOptions {
  readonly policy: string;
  readonly on: 'test' | 'validation';
  readonly questions: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

interface Row extends Record<StatisticName, Estimate> {
  readonly name: string;
  /** By budget share. */
  readonly accuracies: readonly number[];
  /** At the largest budget, by kind of question. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Read at the largest budget. */
  readonly tokens: number;
  /** The policy's numbers less these, on the same questions; null for the policy. */
  readonly policy_above: Record<StatisticName, Estimate> | null;
}

function numbersOf(outcomes: Outcomes, against?: Outcomes): Record<StatisticName, Estimate> {
  return Object.fromEntries((Object.keys(statistics) as StatisticName[]).map((each) => [each, estimate(each, outcomes, against)])) as Record<StatisticName, Estimate>;
}

function rowOf(name: string, outcomes: Outcomes, policy: Outcomes | null): Row {
  const most = outcomes.at(-1)!;
  const kinds = Object.fromEntries([...new Set(most.map(({ kind }) => kind))].sort().map((kind) => [kind, accuracy(most.filter((one) => one.kind === kind))]));
  return { name, ...numbersOf(outcomes), accuracies: outcomes.map(accuracy), kinds, tokens: mean(most.map(({ tokens }) => tokens)), policy_above: policy && numbersOf(policy, outcomes) };
}

/** Counts what a strategy's decisions take, in processor time, which other programs' work does not lengthen. */
function timed(strategy: Strategy): { readonly strategy: Strategy; readonly milliseconds: () => number } {
  let decisions = 0;
  let microseconds = 0;
  const begin = (): Chooser => {
    const choose = strategy.begin();
    return (state) => {
      const before = process.cpuUsage();
      const choice = choose(state);
      const { user, system } = process.cpuUsage(before);
      microseconds += user + system;
      decisions++;
      return choice;
    };
  };
  return { strategy: { ...strategy, begin }, milliseconds: () => microseconds / 1000 / decisions };
}

export async function runEval(options: EvalOptions, signal: AbortSignal): Promise<void> {
  const policy = await openPolicy(options.policy);
  const line = liveLine(process.stderr, options.quiet !== true);
  const simulation = new Simulation(options.on === 'test' ? testOptions : validationOptions);
  const deciding = timed(policyStrategy(policy));
  const compared: EvaluatedStrategy[] = [{ strategy: deciding.strategy, knowsBudget: true }, ...baselines(createRandom(0)).map((strategy) => ({ strategy, knowsBudget: false }))];
  // By strategy and budget share. All work on one question before the next: what is found of a leaf is kept that long.
  const outcomes = compared.map((): Outcome[][] => budgetShares.map(() => []));
  for (let question = 0; question < options.questions; question++) {
    line.show(`question ${question + 1} / ${options.questions}`);
    for (const [i, each] of compared.entries()) for (const [share, outcome] of evaluate(simulation, question, each).entries()) outcomes[i]![share]!.push(outcome);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
    if (signal.aborted) throw abortError(signal);
  }
  line.clear();
  const rows = compared.map(({ strategy }, i) => rowOf(strategy.name, outcomes[i]!, i === 0 ? null : outcomes[0]!));
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ schema: 'lodestone.reader-eval/2', policy: options.policy, trained_on: policy.description.trainedOn, on: options.on, questions: options.questions, budget_shares: budgetShares, decision_ms: deciding.milliseconds(), strategies: rows })}\n`);
    return;
  }
  process.stdout.write(`${tableOf(rows)}\nDeciding takes the policy ${deciding.milliseconds().toFixed(1)} ms of a processor a step.\n`);
}

/** The policy, then the others by their area. */
function tableOf([policy, ...others]: readonly Row[]): string {
  const show = ({ value, low, high }: Estimate): string => `${value.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`.padEnd(25);
  const lines = [policy!, ...others.sort((a, b) => b.area.value - a.area.value)].map(
    (row) => `${row.name.padEnd(24)}${show(row['at 2 %'])}${show(row['at 5 %'])}${show(row.area)}${(row.policy_above ? show(row.policy_above.area) : '').padEnd(28)}${Math.round(row.tokens)}`,
  );
  return [`${''.padEnd(24)}${'right at 2 %'.padEnd(25)}${'right at 5 %'.padEnd(25)}${'area under the curve'.padEnd(25)}${'policy\'s area less this'.padEnd(28)}tokens read`, ...lines, ''].join('\n');
}
