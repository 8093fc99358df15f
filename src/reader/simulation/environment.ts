/**
 * The budgeted reader's decision problem in simulation: real text, real index and scores, what the embedded model made of like passages.
 * The seed of a task decides corpus, question, budget and price; the same seed is the same task.
 */
import { createRandom, seedOf } from '../../random.js';
import type { Decision, Ending, Environment, Step, Task } from '../decision.js';
import { extractiveCost, textTokens } from '../costs.js';
import { describe, featureNames, type Described } from '../features.js';
import { mostPolicyBudget, mostSteps, ReadingState, type Action, type Level, type PassageReading, type Terms } from '../reading-state.js';
import { makeCorpus, type CorpusQuestion, type SimulatedCorpus } from './corpus.js';
import { loadReadings, ReadingLog, type LeadKind } from './logged-readings.js';
import type { Split } from './names.js';
import { relationOf } from './relation.js';
import { readingsFile, simulationText } from './sources.js';

/** What ends pay, in units of one right answer. */
const WRONG = -0.25;

export interface SimulationOptions {
  readonly split: Split;
  readonly corpora: number;
  /** Least and most leaves of a corpus; drawn log-uniformly. */
  readonly leaves: readonly [number, number];
  /** Of each corpus. */
  readonly questions: number;
  /** Changes every corpus. */
  readonly seed?: number;
}

/** Corpora to train with; others of their kind, to choose among policies by; and of another kind, ten times as large, to test on. */
export const trainingOptions: SimulationOptions = { split: 'train', corpora: 32, leaves: [200, 2000], questions: 40 };
export const validationOptions: SimulationOptions = { split: 'train', corpora: 2, leaves: [2000, 2000], questions: 200, seed: 1 };
export const testOptions: SimulationOptions = { split: 'test', corpora: 2, leaves: [20_000, 20_000], questions: 200 };

/** Least and most of the budget in tokens, and of what the whole budget costs; both drawn log-uniformly. */
const BUDGET = [400, mostPolicyBudget] as const;
const BUDGET_COST = [0.005, 0.25] as const;

function logUniform([least, most]: readonly [number, number], random: () => number): number {
  return least * (most / least) ** random();
}

function drawTerms(random: () => number): Terms {
  const budget = Math.round(logUniform(BUDGET, random));
  return { budget, lambda: logUniform(BUDGET_COST, random) / (budget / 1000) };
}

/** A number from 0 to below 1 that follows from the parts alone. */
function chanceOf(...parts: readonly (string | number)[]): number {
  return createRandom(seedOf(...parts))();
}

/** A task in simulation: what strategies and tests may look into. */
export class SimulatedTask implements Task {
  readonly state: ReadingState;
  #described: Described | null = null;
  #ended: Ending | null = null;

  constructor(
    private readonly corpus: SimulatedCorpus,
    readonly question: CorpusQuestion,
    private readonly log: ReadingLog,
    private readonly split: Split,
    terms: Terms,
    private readonly seed: number,
  ) {
    this.state = new ReadingState(corpus, question.question, terms, extractiveCost(question.question));
  }

  /** null: it has not ended. */
  get ended(): Ending | null {
    return this.#ended;
  }

  described(): Described {
    return (this.#described ??= describe(this.state));
  }

  decision(): Decision | null {
    return this.#ended === null ? this.described().decision : null;
  }

  /** Whether what would be answered now is right. */
  rightNow(): boolean {
    return this.state.best().evidence?.reading.answer === RIGHT;
  }

  endingRewards(): Readonly<Record<Ending, number>> {
    return { answer: this.rightNow() ? 1 : WRONG, abstain: this.question.expected === null ? 1 : 0 };
  }

  act(action: number): number {
    return this.perform(this.described().actions[action]!);
  }

  /** An action that need not be among those of the decision: baselines read where they will. */
  perform(action: Action): number {
    if (this.#ended !== null) throw new RangeError('the task has ended');
    this.#described = null;
    if (!('leaf' in action)) {
      if (action.kind === 'requery') {
        this.state.requery();
        return 0;
      }
      this.#ended = action.kind;
      return this.endingRewards()[action.kind];
    }
    const before = this.state.spent;
    this.state.observe(action.leaf, action.kind, this.#read(action.leaf, action.kind));
    return -((this.state.spent - before) / 1000) * this.state.terms.lambda;
  }

  /** Leaves that a clairvoyant reader would read, in the order in which they make sense. */
  evidenceLeaves(): number[] {
    const order = ['first', 'half', 'evidence'];
    const own = this.question.expected === null ? [] : this.question.planted.filter(({ relation }) => relation !== 'near');
    return [...own].sort((a, b) => order.indexOf(a.relation) - order.indexOf(b.relation)).map(({ leaf }) => leaf);
  }

  /** A passage may have cut the sentence. */
  #leadKind(): LeadKind {
    const { lead } = this.state;
    if (lead === '') return 'no lead';
    return this.question.planted.some(({ relation, sentence }) => relation === 'first' && (lead.includes(sentence) || sentence.includes(lead))) ? 'right lead' : 'wrong lead';
  }

  #read(leaf: number, level: Level): PassageReading[] {
    const { corpus, question, state } = this;
    const span = state.span(leaf, level);
    return corpus.passages(level, span, state.weights).map((passage): PassageReading => {
      const relation = relationOf(corpus, question, span, passage.from, passage.to);
      const sought = { split: this.split, kind: question.kind, phrasing: question.phrasing, relation, lead: this.#leadKind(), relevance: passage.relevance };
      // Passages of one length of the same leaf go the same way, as overlapping ones do.
      const { found, right, confidence } = this.log.draw(sought, chanceOf(this.seed, leaf, relation, state.lead, passage.to - passage.from));
      const shown = passage.segments.map((segment) => segment.text).join('');
      return { text: shown, found, answer: found ? (right ? RIGHT : `wrong in ${leaf}`) : '', confidence, tokens: state.costOf('passage', shown.length, state.lead.length) };
    });
  }
}

/** Stands for the right answer; a wrong one is named by its leaf, so that wrong answers do not agree. */
const RIGHT = 'right';

export class Simulation implements Environment {
  readonly #corpora = new Map<number, SimulatedCorpus>();
  readonly #log: ReadingLog;
  readonly stateFeatures = featureNames.state.length;
  readonly actionFeatures = featureNames.action.length;

  constructor(
    readonly options: SimulationOptions,
    readings = loadReadings(readingsFile),
  ) {
    this.#log = new ReadingLog(readings);
  }

  /**
   * Seeds below `corpora * questions` ask each question once; the others ask again, at other terms.
   * @param terms default: drawn
   */
  task(seed: number, terms?: Terms): SimulatedTask {
    const { corpora, questions, split } = this.options;
    const random = createRandom(seedOf('task', split, seed));
    const corpus = this.#corpus(seed % corpora);
    const question = corpus.questions[Math.floor(seed / corpora) % questions]!;
    return new SimulatedTask(corpus, question, this.#log, split, terms ?? drawTerms(random), seed);
  }

  /** Of the corpus that a seed asks about. */
  corpusTokens(seed: number): number {
    return textTokens(this.#corpus(seed % this.options.corpora).leaves.reduce((sum, leaf) => sum + leaf.length, 0));
  }

  #corpus(number: number): SimulatedCorpus {
    const known = this.#corpora.get(number);
    if (known) return known;
    const { split, questions, leaves, seed = 0 } = this.options;
    const random = createRandom(seedOf('corpus', split, seed, number));
    const made = makeCorpus({ ...simulationText(split), split, questions, leaves: Math.round(logUniform(leaves, random)) }, random);
    this.#corpora.set(number, made);
    return made;
  }
}

/** Chooses one of the actions of a task's present state, by its index. */
export type Behaviour = (task: SimulatedTask) => number;

/** Works a task to its end. Throws RangeError where the behaviour chooses no legal action. */
export function runEpisode(task: SimulatedTask, behaviour: Behaviour): Step[] {
  const steps: Step[] = [];
  for (let decision = task.decision(); decision !== null; decision = task.decision()) {
    if (steps.length > 2 * mostSteps) throw new RangeError('the behaviour does not end');
    const endingRewards = task.endingRewards();
    const chosen = behaviour(task);
    if (decision.kinds[chosen] === undefined) throw new RangeError(`no action ${chosen}`);
    steps.push({ decision, chosen, reward: task.act(chosen), endingRewards });
  }
  return steps;
}

