/** Reads within a budget: a strategy decides, a model reads, until one of the ends is chosen or the budget is used up. */
import type { BudgetTrace } from '../answer/answer.js';
import { abortError } from '../errors.js';
import type { Ending } from './decision.js';
import type { LeafReader, RealReading } from './leaf-reader.js';
import { mostSteps, type Action, type ReadingState } from './reading-state.js';
import { endByRule, type Strategy } from './strategies.js';

/** One decision that was carried out. */
export interface TakenStep {
  readonly action: Action;
  /** That went through the model. */
  readonly tokens: number;
  /** What the step found best, '' for nothing. */
  readonly answer: string;
  /** Of the best answer after it. */
  readonly worth: number;
  /** What reading on was thought to be worth over ending, in right answers; null: the strategy has no values. */
  readonly gain: number | null;
}

export interface ReadWithin {
  readonly steps: readonly TakenStep[];
  readonly ending: Ending;
  readonly stopped: BudgetTrace['stopped'];
  /** Of the last decision. */
  readonly gain: number | null;
}

export interface ReadWithinOptions {
  readonly signal: AbortSignal;
  /** True where there is no time for another step. */
  readonly timeIsUp: () => boolean;
  readonly onStep: (step: TakenStep) => void;
}

/** Errors: those of reading; the signal's reason. */
export async function readWithin(state: ReadingState<RealReading>, strategy: Strategy, reader: LeafReader, { signal, timeIsUp, onStep }: ReadWithinOptions): Promise<ReadWithin> {
  const choose = strategy.begin();
  const steps: TakenStep[] = [];
  const taken = (action: Action, tokens: number, answer: string, gain: number | null): void => {
    const step = { action, tokens, answer, worth: state.best().worth, gain };
    steps.push(step);
    onStep(step);
  };
  for (;;) {
    if (signal.aborted) throw abortError(signal);
    const { action, gain } = choose(state);
    if (timeIsUp()) return { steps, ending: endByRule(state).kind, stopped: 'budget', gain };
    if ('leaf' in action) {
      const before = state.spent;
      const readings = await reader.read(state, action.leaf, action.kind, signal);
      // It takes more than was thought, and more than is left.
      if (readings.length === 0) return { steps, ending: endByRule(state).kind, stopped: 'budget', gain };
      state.observe(action.leaf, action.kind, readings);
      taken(action, state.spent - before, bestAnswer(readings), gain);
    } else if (action.kind === 'requery') {
      state.requery();
      taken(action, 0, '', gain);
    } else {
      return { steps, ending: action.kind, stopped: whyStopped(state), gain };
    }
  }
}

/** Whether anything else could have been done. */
function whyStopped(state: ReadingState): BudgetTrace['stopped'] {
  const candidates = state.candidates();
  if (candidates.length > 0 && candidates.every(({ leaf }) => state.cost(leaf, 'skim') > state.remaining)) return 'budget';
  return state.actions().length === 2 && state.step >= mostSteps - 1 ? 'steps' : 'decided';
}

function bestAnswer(readings: readonly RealReading[]): string {
  const [first, ...rest] = readings.filter(({ found }) => found);
  return first ? rest.reduce((a, b) => (b.confidence > a.confidence ? b : a), first).result.parsed.answer : '';
}
