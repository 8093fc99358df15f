/** Runs a suite at a length: makes its trials, asks, scores, counts. */
import { inquiryOf, LOOK_UP_TO, trialRequest } from './request.js';
import type { Answerer, RespondOptions, Response, Responses } from './respond.js';
import { scoreAnswer, type Score } from './scoring.js';
import { meanInterval, wilson, type Interval } from './statistics.js';
import type { Hearing } from './spoken-document.js';
import type { Suite, TrialQuestion } from './trial.js';

/** Answers of one kind of reading to one part of a suite. */
export interface Tally {
  readonly hits: number;
  /** Answers "not found"; where the answer is there, each is a false alarm. */
  readonly notFound: number;
  readonly trials: number;
  /** Of hits in trials, 95 %, Wilson. */
  readonly interval: Interval;
  /** Of not found in trials, 95 %, Wilson. */
  readonly notFoundInterval: Interval;
  /** Mean score in [0, 1], and its 95 % by the normal approximation. */
  readonly score: Interval & { readonly mean: number };
}

export interface DepthTally {
  readonly depthPercent: number;
  readonly hits: number;
  readonly trials: number;
}

/** One part of a suite's row; most suites have one. */
export interface PartResult {
  /** '' where the suite has no parts. */
  readonly part: string;
  readonly once: Tally;
  /** As `ask` answers, second look included; null where none was taken. */
  readonly twice: Tally | null;
  /** By `once`; empty where the suite places nothing. */
  readonly byDepth: readonly DepthTally[];
}

export interface Row {
  readonly suite: string;
  /** Asked for; null: the suite's shortest. */
  readonly length: number | null;
  readonly parts: readonly PartResult[];
  readonly haystacks: number;
  /** The fewest and the most tokens of a document, as read. */
  readonly documentTokens: readonly [number, number];
  /** Wall time of all of it: making, reading, answering. */
  readonly seconds: number;
  /** Of them, for the second look. */
  readonly lookSeconds: number;
  /** Tokens read before the answers, without the second look, and how many of them a second. */
  readonly tokensRead: number;
  readonly tokensPerSecond: number;
  /** The most keys and values held. */
  readonly kvBytes: number;
  /** The most memory that this process ever held, up to now. */
  readonly peakRssBytes: number;
}

export interface Asked {
  readonly suite: string;
  readonly length: number | null;
  readonly question: TrialQuestion;
  readonly response: Response;
  readonly once: Score;
  readonly twice: Score | null;
}

export interface RunOptions extends RespondOptions {
  readonly questions: number;
  readonly seed: number;
  /** For suites that are spoken. */
  readonly hearing?: Hearing;
  /** After every question. */
  readonly onAsked?: (asked: Asked) => void;
}

/** Every question is asked alone, as `ask` would ask it. Throws the signal's reason. */
export async function runSuite(answerer: Answerer, suite: Suite, length: number | null, options: RunOptions): Promise<Row> {
  const { questions, seed, onAsked } = options;
  const looks = length === null || length <= LOOK_UP_TO ? options.looks : 0;
  const started = performance.now();
  const tallies = new Map<string, PartCounter>();
  const costs = new CostCounter();
  for await (const trial of suite.make(await trialRequest(answerer, length, questions, seed))) {
    const all = await answerer.respond(await inquiryOf(trial, { ...options, ...answerer }, options.signal), { ...options, looks });
    costs.add(all);
    for (const [i, question] of trial.questions.entries()) {
      const response = all.responses[i]!;
      const score = (answer: string): Score => scoreAnswer(question.scoring, answer, question.expected, question);
      const asked: Asked = {
        suite: suite.name,
        length,
        question,
        response,
        once: score(response.once),
        twice: response.twice === null ? null : score(response.twice),
      };
      const part = question.part ?? '';
      const counter = tallies.get(part) ?? new PartCounter();
      tallies.set(part, counter);
      counter.add(asked);
      onAsked?.(asked);
    }
  }
  const parts = [...tallies].map(([part, counter]) => counter.result(part));
  const seconds = (performance.now() - started) / 1e3;
  // Node gives kibibytes, on every system.
  return { suite: suite.name, length, parts, ...costs.result(), seconds, peakRssBytes: process.resourceUsage().maxRSS * 1024 };
}

class CostCounter {
  #haystacks = 0;
  #fewest = Infinity;
  #most = 0;
  #read = 0;
  #readMs = 0;
  #lookMs = 0;
  #kv = 0;

  add({ documentTokens: tokens, tokensRead, prefillMs, kvBytes, lookMs }: Responses): void {
    this.#haystacks++;
    this.#fewest = Math.min(this.#fewest, tokens);
    this.#most = Math.max(this.#most, tokens);
    this.#read += tokensRead;
    this.#readMs += prefillMs;
    this.#lookMs += lookMs;
    this.#kv = Math.max(this.#kv, kvBytes);
  }

  result(): Pick<Row, 'haystacks' | 'documentTokens' | 'lookSeconds' | 'tokensRead' | 'tokensPerSecond' | 'kvBytes'> {
    return {
      haystacks: this.#haystacks,
      documentTokens: [this.#haystacks === 0 ? 0 : this.#fewest, this.#most],
      lookSeconds: this.#lookMs / 1e3,
      tokensRead: this.#read,
      tokensPerSecond: this.#readMs === 0 ? 0 : (1e3 * this.#read) / this.#readMs,
      kvBytes: this.#kv,
    };
  }
}

class PartCounter {
  readonly #once = new AnswerCounter();
  readonly #twice = new AnswerCounter();
  readonly #depths = new Map<number, { hits: number; trials: number }>();

  add({ question, response, once, twice }: Asked): void {
    this.#once.add(once, response.once === '');
    if (twice !== null) this.#twice.add(twice, response.twice === '');
    if (question.depthPercent === undefined) return;
    const depth = this.#depths.get(question.depthPercent) ?? { hits: 0, trials: 0 };
    this.#depths.set(question.depthPercent, depth);
    depth.trials++;
    if (once.hit) depth.hits++;
  }

  result(part: string): PartResult {
    const byDepth = [...this.#depths].sort(([a], [b]) => a - b).map(([depthPercent, tally]) => ({ depthPercent, ...tally }));
    return { part, once: this.#once.result(), twice: this.#twice.trials === 0 ? null : this.#twice.result(), byDepth };
  }
}

class AnswerCounter {
  readonly #scores: number[] = [];
  #hits = 0;
  #notFound = 0;

  get trials(): number {
    return this.#scores.length;
  }

  add({ hit, score }: Score, notFound: boolean): void {
    this.#scores.push(score);
    if (hit) this.#hits++;
    if (notFound) this.#notFound++;
  }

  result(): Tally {
    const { trials } = this;
    return {
      hits: this.#hits,
      notFound: this.#notFound,
      trials,
      interval: wilson(this.#hits, trials),
      notFoundInterval: wilson(this.#notFound, trials),
      score: meanInterval(this.#scores),
    };
  }
}
