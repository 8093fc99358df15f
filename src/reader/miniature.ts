/**
 * The reader's decision problem in miniature, in microseconds a task: 48 leaves in chapters of 8, some questions of two
 * steps, some without an answer; the leaves that score best can be skimmed or read. For tests, and to try value functions.
 */
import { createRandom, randomBelow, type Random } from '../random.js';
import type { Decision, Ending, Environment, Task } from './decision.js';

export interface MiniatureOptions {
  /** Price of one read leaf, in right answers; skimming costs an eighth. */
  readonly readCost: number;
  /** Share of grades (1 or 0) that are turned round. */
  readonly flippedGrades: number;
  /** What an ending pays has noise of the uniform distribution from minus this to this. */
  readonly rewardNoise: number;
}

export const cleanMiniature: MiniatureOptions = { readCost: 0.04, flippedGrades: 0, rewardNoise: 0 };

const leaves = 48;
const chapter = 8;
const candidates = 6;
const mostSteps = 24;
/** In reads. */
const budget = 10;
const skimPrice = 1 / 8;
/** Scores of evidence and of other leaves are normal distributions this far apart, in standard deviations. */
const evidenceScore = 1.5;
const evidenceGist = 2;
const abstainReward = 0.25;
const luckyGuess = 0.05;

const stateFeatures = 6;
const kindsInOrder = ['answer', 'abstain', 'skim', 'read'] as const;
const actionFeatures = kindsInOrder.length + 5;

export function createMiniature(options: MiniatureOptions = cleanMiniature): Environment {
  return { stateFeatures, actionFeatures, task: (seed) => new MiniatureTask(options, createRandom(seed)) };
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** What the present state shows, and what is behind it. */
interface Present {
  readonly decision: Decision;
  /** Of each action; -1 for endings. */
  readonly leaves: readonly number[];
  readonly endingRewards: Readonly<Record<Ending, number>>;
}

class MiniatureTask implements Task {
  /** Leaves that the answer still needs, in order: each names what to look for next. */
  readonly #evidence: number[];
  readonly #absent: boolean;
  /** By leaf, log-likelihood ratios: what the retriever thinks, and what skimming added. */
  readonly #scores = new Float64Array(leaves);
  readonly #gists = new Float64Array(leaves);
  readonly #skimmed = new Set<number>();
  readonly #read = new Set<number>();
  #found = 0;
  #lastFound = -1;
  #spent = 0;
  #steps = 0;
  /** null: ended. Drawn once for each state, so that asking what an ending would pay is no second draw. */
  #present: Present | null;

  constructor(
    private readonly options: MiniatureOptions,
    private readonly random: Random,
  ) {
    const first = randomBelow(leaves, random);
    const second = random() < 0.5 ? chapterOf(first) * chapter + randomBelow(chapter, random) : randomBelow(leaves, random);
    this.#absent = random() < 0.2;
    this.#evidence = this.#absent ? [] : random() < 0.5 && second !== first ? [first, second] : [first];
    this.#search();
    this.#present = this.#look();
  }

  decision(): Decision | null {
    return this.#present?.decision ?? null;
  }

  endingRewards(): Readonly<Record<Ending, number>> {
    if (this.#present === null) throw new RangeError('the task has ended');
    return this.#present.endingRewards;
  }

  act(action: number): number {
    const kind = this.#present?.decision.kinds[action];
    if (this.#present === null || kind === undefined) throw new RangeError(`there is no action ${action}`);
    if (kind === 'answer' || kind === 'abstain') {
      const { [kind]: reward } = this.#present.endingRewards;
      this.#present = null;
      return reward;
    }
    const leaf = this.#present.leaves[action]!;
    if (kind === 'skim') this.#skim(leaf);
    else this.#readWhole(leaf);
    const price = kind === 'skim' ? skimPrice : 1;
    this.#spent += price;
    this.#steps++;
    this.#present = this.#look();
    return -this.options.readCost * price;
  }

  #skim(leaf: number): void {
    this.#skimmed.add(leaf);
    this.#gists[leaf] = this.#ratio(leaf, evidenceGist);
  }

  #readWhole(leaf: number): void {
    this.#read.add(leaf);
    if (leaf !== this.#evidence[0]) return;
    this.#evidence.shift();
    this.#found++;
    this.#lastFound = leaf;
    if (this.#evidence.length === 0) return;
    this.#gists.fill(0);
    this.#skimmed.clear();
    this.#search();
  }

  #search(): void {
    for (let leaf = 0; leaf < leaves; leaf++) this.#scores[leaf] = this.#ratio(leaf, evidenceScore);
  }

  /** Of a measurement that is N(distance, 1) for evidence and N(0, 1) for other leaves. */
  #ratio(leaf: number, distance: number): number {
    const measured = normal(this.random) + (leaf === this.#evidence[0] ? distance : 0);
    return distance * measured - distance ** 2 / 2;
  }

  #besideFound(leaf: number): boolean {
    return this.#lastFound >= 0 && chapterOf(leaf) === chapterOf(this.#lastFound);
  }

  /** Log-odds, but for a constant. */
  #belief(leaf: number): number {
    return this.#scores[leaf]! + this.#gists[leaf]! + (this.#besideFound(leaf) ? Math.log(chapter / 2) : 0) - Math.log(chapter);
  }

  #look(): Present {
    const left = budget - this.#spent;
    const logOdds = Float64Array.from({ length: leaves }, (_, leaf) => this.#belief(leaf));
    const unread = Array.from(logOdds.keys()).filter((leaf) => !this.#read.has(leaf));
    const best = this.#steps < mostSteps ? unread.sort((a, b) => logOdds[b]! - logOdds[a]!).slice(0, candidates) : [];
    const beliefs = best.map((leaf) => Math.exp(logOdds[leaf]!));
    const total = beliefs.reduce((sum, belief) => sum + belief, 1);
    const actions: { readonly kind: (typeof kindsInOrder)[number]; readonly leaf: number; readonly features: readonly number[] }[] = [
      { kind: 'answer', leaf: -1, features: [0, 0, 0, 0, 0] },
      { kind: 'abstain', leaf: -1, features: [0, 0, 0, 0, 0] },
    ];
    for (const [rank, leaf] of best.entries()) {
      const features = [beliefs[rank]! / total, logOdds[leaf]! / 6, rank / candidates, Number(this.#skimmed.has(leaf)), Number(this.#besideFound(leaf))];
      if (!this.#skimmed.has(leaf) && left >= skimPrice) actions.push({ kind: 'skim', leaf, features });
      if (left >= 1) actions.push({ kind: 'read', leaf, features });
    }
    const answerable = !this.#absent && this.#evidence.length === 0;
    const confidence = Math.min(1, Math.max(0, (answerable ? 0.8 : this.#found > 0 ? 0.45 : 0.2) + 0.15 * normal(this.random)));
    return {
      decision: {
        state: Float32Array.of(left / budget, this.#steps / mostSteps, confidence, this.#found / 2, (beliefs[0] ?? 0) / total, Number(this.#lastFound >= 0)),
        actions: Float32Array.from(actions.flatMap(({ kind, features }) => [...kindsInOrder.map((each) => Number(each === kind)), ...features])),
        kinds: actions.map(({ kind }) => kind),
      },
      leaves: actions.map(({ leaf }) => leaf),
      endingRewards: this.#grade(answerable),
    };
  }

  #grade(answerable: boolean): Readonly<Record<Ending, number>> {
    const { flippedGrades, rewardNoise } = this.options;
    // Drawn in any case, so that tasks with and without noise are the same tasks.
    const [guess, flip, noise, otherNoise] = [this.random(), this.random(), this.random(), this.random()];
    const right = Number(answerable || guess < luckyGuess);
    return { answer: (flip < flippedGrades ? 1 - right : right) + rewardNoise * (2 * noise - 1), abstain: abstainReward + rewardNoise * (2 * otherNoise - 1) };
  }
}

function chapterOf(leaf: number): number {
  return Math.floor(leaf / chapter);
}
