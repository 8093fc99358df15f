/**
 * Where a budgeted reading stands: what was found, what could be read next and what that would cost. The same code runs in
 * simulation and on a real corpus; only who answers a reading differs. Everything but the readings follows from the index.
 */
import { worthOf } from '../answer/second-look.js';
import { cutSegments, relatedPassages, type Passage } from '../answer/passages.js';
import type { IngestedSource } from '../ingest/segment.js';
import type { Bm25, Hit } from './bm25.js';
import type { CostOf } from './costs.js';
import type { ActionKind } from './decision.js';
import { followLead, leadOf, namesOf, relevanceOf, weigh, wordsOf, type Lead, type Weights } from './question.js';

export interface Corpus {
  readonly index: Bm25;
  text(leaf: number): string;
  /** `passagesOf` the text of leaves first to last; kept, where the same is asked again and again. */
  passages(level: Level, span: Span, weights: Weights): readonly Passage[];
  /** Whether leaf and leaf + 1 follow each other in one source. */
  continues(leaf: number): boolean;
}

/** skim: the leaf's most related passage; read: its most related passages, or all of it; inspect: the same of the leaf with its neighbours. */
export type Level = 'skim' | 'read' | 'inspect';
export const levels: readonly Level[] = ['skim', 'read', 'inspect'];

/** First and last leaf. */
export type Span = readonly [number, number];

export type Action = { readonly kind: Exclude<ActionKind, Level> } | { readonly kind: Level; readonly leaf: number };

/** What a reader made of one passage. */
export interface PassageReading {
  readonly text: string;
  readonly found: boolean;
  /** Folded; '' where nothing was found. */
  readonly answer: string;
  /** 0..1 */
  readonly confidence: number;
  /** That went through the model for it. */
  readonly tokens: number;
}

export interface Terms {
  /** Tokens that may be read. */
  readonly budget: number;
  /** What a thousand tokens cost, in units of one right answer. */
  readonly lambda: number;
}

export interface Evidence<R extends PassageReading = PassageReading> {
  readonly reading: R;
  readonly leaf: number;
  readonly level: Level;
  /** Share of what is searched for that it has: 0..1. */
  readonly relevance: number;
  /** Of the step that read it. */
  readonly step: number;
}

/** Leaves that could be read next, the likeliest first. */
export interface Candidate extends Hit {
  /** Of BM25 among its hits, from 0. */
  readonly rank: number;
  /** Share of the question's words in its best passage: 0..1. */
  readonly relevance: number;
  /** That it holds the answer, among all hits: sums to at most 1. */
  readonly belief: number;
  /** Worth of what was found when it was skimmed; null: it was not. */
  readonly skimmed: number | null;
}

export interface Best<R extends PassageReading = PassageReading> {
  readonly evidence: Evidence<R> | null;
  readonly worth: number;
  /** Of the best other answer. */
  readonly otherWorth: number;
  readonly votes: number;
}

/** Candidates that a decision is about. */
export const shownCandidates = 16;
const SEARCHED = 64;
/** Steps of an episode. */
export const mostSteps = 32;
/** The largest budget that policies are trained with, in tokens; their steps seldom read more. */
export const mostPolicyBudget = 16_384;
const MOST_REQUERIES = 2;
/** Lengths of passages in characters: those of the second look. The longer one is skimmed. */
const SKIM_CHARACTERS = 400;

/** In log-odds: how far the best hit is ahead of one that shares no word, and what a skim without an answer takes away. */
const SCORE_ODDS = 8;
const SKIM_ODDS = 3;

export function spanText(corpus: Pick<Corpus, 'text'>, [first, last]: Span): string {
  let text = '';
  for (let leaf = first; leaf <= last; leaf++) text += corpus.text(leaf);
  return text;
}

/** Whether any of the leaves has any of the words. */
export function sharesWord(index: Bm25, weights: Weights, [first, last]: Span): boolean {
  for (const word of weights.keys()) for (let leaf = first; leaf <= last; leaf++) if (index.stands(word, leaf)) return true;
  return false;
}

/** The passages of a text that a level reads. */
export function passagesOf(level: Level, text: string, weights: Weights): Passage[] {
  const source: IngestedSource = { source: { path: '', kind: 'text', bytes: 0, sha256: '' }, segments: [{ source: 0, text }], warnings: [] };
  const options = level === 'skim' ? { characters: [SKIM_CHARACTERS], count: 1 } : { characters: [260, SKIM_CHARACTERS], count: 2 };
  const passages = relatedPassages('', [source], { ...options, weights });
  // A leaf that shares no word is read from its beginning: looking costs something.
  return passages.length > 0 ? passages : [beginning(text)];
}

/** What is read of a text that shares no word. */
export function beginning(text: string): Passage {
  return passageAt(text, 0, Math.min(text.length, SKIM_CHARACTERS));
}

function passageAt(text: string, from: number, to: number): Passage {
  return { source: 0, from, to, segments: cutSegments([{ source: 0, text }], from, to, true), relevance: 0 };
}

/** R: what a reader gives of a passage; it may hold more than is needed here. */
export class ReadingState<R extends PassageReading = PassageReading> {
  readonly #questionWords: ReadonlySet<string>;
  /** Of what is searched for. */
  readonly #names: Set<string>;
  #weights: Weights;
  #hits: readonly Hit[];
  #evidence: Evidence<R>[] = [];
  /** That of it in which something was found: little of what is read. */
  #answering: Evidence<R>[] = [];
  readonly #found = new Map<string, number>();
  readonly #done = new Map<number, Set<Level>>();
  readonly #relevances = new Map<number, number>();
  #spent = 0;
  #step = 0;
  #requeries = 0;
  #lead = '';
  #lastGain = 0;
  #gain = 0;
  /** Of each passage that was read, the lead in it. */
  readonly #leads = new Map<string, Lead | null>();
  /** Stays until something more is found. */
  #best: Best<R> | null = null;
  // Of the present step.
  #candidates: Candidate[] | null = null;
  #nextLead: Lead | null | undefined;

  constructor(
    readonly corpus: Corpus,
    readonly question: string,
    readonly terms: Terms,
    readonly costOf: CostOf,
  ) {
    this.#questionWords = wordsOf(question);
    this.#names = namesOf(question);
    this.#weights = weigh(this.#questionWords, corpus.index);
    this.#hits = corpus.index.search(this.#weights.keys(), SEARCHED);
  }

  get weights(): Weights {
    return this.#weights;
  }

  get hits(): readonly Hit[] {
    return this.#hits;
  }

  get evidence(): readonly Evidence<R>[] {
    return this.#evidence;
  }

  get questionWords(): ReadonlySet<string> {
    return this.#questionWords;
  }

  get spent(): number {
    return this.#spent;
  }

  get remaining(): number {
    return Math.max(0, this.terms.budget - this.#spent);
  }

  get step(): number {
    return this.#step;
  }

  /** The sentence that led to the present search; '' for the first one. What is read is read behind it. */
  get lead(): string {
    return this.#lead;
  }

  get requeries(): number {
    return this.#requeries;
  }

  /** Steps since the best worth rose, and by how much it rose in the last step. */
  get gain(): { readonly last: number; readonly stepsAgo: number } {
    return { last: this.#gain, stepsAgo: this.#step - this.#lastGain };
  }

  /** Of leaves that were read at any level. */
  get leavesRead(): number {
    return this.#done.size;
  }

  was(leaf: number, level: Level): boolean {
    return this.#done.get(leaf)?.has(level) === true;
  }

  /** The leaf, and with `inspect` its neighbours: [first, last]. */
  span(leaf: number, level: Level): Span {
    if (level !== 'inspect') return [leaf, leaf];
    const first = leaf > 0 && this.corpus.continues(leaf - 1) ? leaf - 1 : leaf;
    return [first, this.corpus.continues(leaf) ? leaf + 1 : leaf];
  }

  cost(leaf: number, level: Level): number {
    const [first, last] = this.span(leaf, level);
    let characters = 0;
    for (let i = first; i <= last; i++) characters += this.corpus.text(i).length;
    return this.costOf(level, characters, this.#lead.length);
  }

  worth({ reading: { found, confidence, answer }, relevance }: Evidence): number {
    if (!found) return 0;
    const votes = this.#votes(answer);
    return worthOf(confidence, relevance, votes);
  }

  /** What would be answered now. */
  best(): Best<R> {
    return (this.#best ??= this.#findBest());
  }

  /** Readings that found this answer. */
  #votes(answer: string): number {
    return this.#found.get(answer) ?? 0;
  }

  #findBest(): Best<R> {
    let best: Best<R> = { evidence: null, worth: 0, otherWorth: 0, votes: 0 };
    for (const evidence of this.#answering) {
      const worth = this.worth(evidence);
      if (worth > best.worth) {
        const other = best.evidence && best.evidence.reading.answer !== evidence.reading.answer ? best.worth : best.otherWorth;
        best = { evidence, worth, otherWorth: other, votes: 0 };
      } else if (evidence.reading.answer !== best.evidence?.reading.answer) {
        best = { ...best, otherWorth: Math.max(best.otherWorth, worth) };
      }
    }
    const { evidence } = best;
    return evidence ? { ...best, votes: this.#votes(evidence.reading.answer) } : best;
  }

  /** The likeliest unread leaves, at most `shownCandidates`. */
  candidates(): readonly Candidate[] {
    return (this.#candidates ??= this.#makeCandidates());
  }

  #makeCandidates(): Candidate[] {
    const top = this.#hits[0]?.score ?? 1;
    const odds = this.#hits.map(({ leaf, score }) => {
      if (this.was(leaf, 'read') || this.was(leaf, 'inspect')) return -Infinity;
      const skim = this.was(leaf, 'skim') ? this.#skimWorth(leaf) : null;
      const prior = (SCORE_ODDS * score) / top;
      return skim === null ? prior : prior + (skim > 0 ? skim * SKIM_ODDS : -SKIM_ODDS);
    });
    const all = odds.reduce((sum, one) => sum + Math.exp(one - SCORE_ODDS), 0) || 1;
    const order = Array.from(odds.keys()).filter((i) => odds[i]! > -Infinity).sort((a, b) => odds[b]! - odds[a]! || a - b);
    return order.slice(0, shownCandidates).map((i) => {
      const { leaf, score } = this.#hits[i]!;
      return { leaf, score, rank: i, relevance: this.#relevance(leaf), belief: Math.exp(odds[i]! - SCORE_ODDS) / all, skimmed: this.was(leaf, 'skim') ? this.#skimWorth(leaf) : null };
    });
  }

  #skimWorth(leaf: number): number {
    return this.#answering.reduce((most, one) => (one.leaf === leaf ? Math.max(most, this.worth(one)) : most), 0);
  }

  #relevance(leaf: number): number {
    const known = this.#relevances.get(leaf);
    if (known !== undefined) return known;
    const { relevance } = this.corpus.passages('skim', [leaf, leaf], this.#weights)[0]!;
    this.#relevances.set(leaf, relevance);
    return relevance;
  }

  #relevanceOfReading({ text }: R, span: Span): number {
    return sharesWord(this.corpus.index, this.#weights, span) ? relevanceOf(wordsOf(text), this.#weights) : 0;
  }

  /** Where a further search would start; null: nowhere, or there were searches enough. */
  nextLead(): Lead | null {
    if (this.#nextLead === undefined) this.#nextLead = this.#findLead();
    return this.#nextLead;
  }

  #findLead(): Lead | null {
    if (this.#requeries >= MOST_REQUERIES) return null;
    let best: Lead | null = null;
    for (const { reading } of this.#evidence) {
      const lead = this.#leadIn(reading.text);
      if (lead !== null && lead.score > (best?.score ?? 0)) best = lead;
    }
    return best;
  }

  #leadIn(text: string): Lead | null {
    const known = this.#leads.get(text);
    if (known !== undefined) return known;
    const made = leadOf(text, this.#weights, this.#names, this.corpus.index);
    this.#leads.set(text, made);
    return made;
  }

  /** All that may be done now. Ends are always among them. */
  actions(): Action[] {
    const actions: Action[] = [{ kind: 'answer' }, { kind: 'abstain' }];
    if (this.#step >= mostSteps - 1) return actions;
    for (const { leaf, skimmed } of this.candidates()) {
      for (const kind of levels) {
        if (kind === 'skim' && skimmed !== null) continue;
        if (kind === 'inspect' && this.span(leaf, kind)[0] === this.span(leaf, kind)[1]) continue;
        if (this.cost(leaf, kind) <= this.remaining) actions.push({ kind, leaf });
      }
    }
    if (this.nextLead() !== null) actions.push({ kind: 'requery' });
    return actions;
  }

  /** A leaf was read; what that cost counts. */
  observe(leaf: number, level: Level, readings: readonly R[]): void {
    const before = this.best().worth;
    this.#step++;
    const [first, last] = this.span(leaf, level);
    for (let i = first; i <= last; i++) this.#done.set(i, (this.#done.get(i) ?? new Set<Level>()).add(i === leaf ? level : 'read'));
    for (const reading of readings) {
      this.#spent += reading.tokens;
      if (reading.found) this.#found.set(reading.answer, this.#votes(reading.answer) + 1);
      const evidence = { reading, leaf, level, relevance: this.#relevanceOfReading(reading, [first, last]), step: this.#step };
      this.#evidence.push(evidence);
      if (!reading.found) continue;
      this.#answering.push(evidence);
      this.#best = null;
    }
    this.#forget();
    this.#gain = this.best().worth - before;
    if (this.#gain > 0) this.#lastGain = this.#step;
  }

  /** Searches again with the names found so far. Throws RangeError where there are none. */
  requery(): void {
    const lead = this.nextLead();
    if (lead === null) throw new RangeError('nothing new to search for');
    this.#lead = lead.sentence;
    this.#step++;
    this.#requeries++;
    this.#gain = 0;
    for (const word of lead.words) this.#names.add(word);
    this.#weights = followLead(lead, this.#weights, this.corpus.index);
    this.#hits = this.corpus.index.search(this.#weights.keys(), SEARCHED);
    this.#evidence = this.#evidence.map((one) => ({ ...one, relevance: this.#relevanceOfReading(one.reading, this.span(one.leaf, one.level)) }));
    this.#answering = this.#evidence.filter(({ reading }) => reading.found);
    this.#relevances.clear();
    this.#leads.clear();
    this.#best = null;
    this.#forget();
  }

  #forget(): void {
    this.#candidates = null;
    this.#nextLead = undefined;
  }
}
