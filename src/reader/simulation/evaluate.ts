/** How strategies do on simulated corpora: right answers for what was read (spec: the budgeted reader's metrics). */
import type { Interval } from '../../recall/statistics.js';
import { mostPolicyBudget } from '../reading-state.js';
import { bootstrapInterval } from '../statistics.js';
import type { Strategy } from '../strategies.js';
import type { QuestionKind } from './corpus.js';
import type { Simulation } from './environment.js';

/** How one question went. */
export interface Outcome {
  readonly kind: QuestionKind;
  /** The right answer, or "not there" where it isn't. */
  readonly right: boolean;
  readonly abstained: boolean;
  readonly tokens: number;
  /** Leaves read that hold evidence, of those that there are; 1 where there are none. */
  readonly evidenceRecall: number;
}

/** Budgets as shares of the corpus, ascending; the area under the curve goes from the first to the last. */
export const budgetShares: readonly number[] = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.02, 0.05];

/** What the whole budget costs, in right answers: little, so that accuracy counts. */
const BUDGET_COST = 0.02;
export interface EvaluatedStrategy {
  readonly strategy: Strategy;
  /** It looks at the budget when it decides. Others do the same with more, unless they ran out. */
  readonly knowsBudget: boolean;
}

/** Of each budget share, the outcomes of the questions, in their order. */
export type Outcomes = readonly (readonly Outcome[])[];

/** A question's outcomes by budget share. */
export function evaluate(simulation: Simulation, seed: number, { strategy, knowsBudget }: EvaluatedStrategy): Outcome[] {
  const whole = simulation.corpusTokens(seed);
  const most = knowsBudget ? mostPolicyBudget : Infinity;
  let last: { readonly outcome: Outcome; readonly budget: number } | null = null;
  const outcomes: Outcome[] = [];
  // From the largest budget: who spent less than the next one would do the same again.
  for (const share of budgetShares.toReversed()) {
    const budget = Math.min(most, Math.round(share * whole));
    const same = last !== null && (knowsBudget ? last.budget === budget : last.outcome.tokens <= budget);
    if (last === null || !same) last = { outcome: outcomeOf(simulation, seed, strategy, budget), budget };
    outcomes.unshift(last.outcome);
  }
  return outcomes;
}

function outcomeOf(simulation: Simulation, seed: number, strategy: Strategy, budget: number): Outcome {
  const task = simulation.task(seed, { budget, lambda: BUDGET_COST / (budget / 1000) });
  const choose = strategy.begin();
  while (task.ended === null) task.perform(choose(task.state).action);
  const evidence = new Set(task.evidenceLeaves());
  const read = new Set(task.state.evidence.map(({ leaf }) => leaf));
  return {
    kind: task.question.kind,
    right: task.ended === 'abstain' ? task.question.expected === null : task.rightNow(),
    abstained: task.ended === 'abstain',
    tokens: task.state.spent,
    evidenceRecall: evidence.size === 0 ? 1 : [...evidence].filter((leaf) => read.has(leaf)).length / evidence.size,
  };
}

export function accuracy(outcomes: readonly Outcome[]): number {
  return outcomes.filter(({ right }) => right).length / outcomes.length;
}

/** Area under accuracy over the logarithm of the budget, by trapezia, as a share of what it could be: 0..1. */
export function area(accuracies: readonly number[], shares: readonly number[] = budgetShares): number {
  let sum = 0;
  for (let i = 1; i < shares.length; i++) sum += ((accuracies[i]! + accuracies[i - 1]!) / 2) * Math.log(shares[i]! / shares[i - 1]!);
  return sum / Math.log(shares.at(-1)! / shares[0]!);
}

/** Of all questions, with the 95 % interval of the bootstrap over them. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** The three numbers of a strategy, over chosen questions. */
export const statistics = {
  'at 2 %': (outcomes: Outcomes, chosen: readonly number[]) => meanRight(outcomes[budgetShares.indexOf(0.02)]!, chosen),
  'at 5 %': (outcomes: Outcomes, chosen: readonly number[]) => meanRight(outcomes[budgetShares.indexOf(0.05)]!, chosen),
  area: (outcomes: Outcomes, chosen: readonly number[]) => area(outcomes.map((list) => meanRight(list, chosen))),
} as const satisfies Record<string, (outcomes: Outcomes, chosen: readonly number[]) => number>;

function meanRight(outcomes: readonly Outcome[], chosen: readonly number[]): number {
  let right = 0;
  for (const i of chosen) if (outcomes[i]!.right) right++;
  return right / chosen.length;
}

export type StatisticName = keyof typeof statistics;

/** A strategy's number with its interval; with `against`, by how much it is above the other's on the same questions. */
export function estimate(name: StatisticName, outcomes: Outcomes, against?: Outcomes): Estimate {
  const of = (chosen: readonly number[]): number => statistics[name](outcomes, chosen) - (against ? statistics[name](against, chosen) : 0);
  const questions = outcomes[0]!.map((_, i) => i);
  return { value: of(questions), ...bootstrapInterval([questions], of) };
}
