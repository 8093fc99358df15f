/**
 * Corpora with ground truth: leaves of public-domain prose, facts hidden in some of them, and questions whose evidence is
 * known. Every question has sentences beside it that share its words and do not answer it; so have the others' facts.
 */
import { drawDistinct, pick, randomBelow, type Random } from '../../random.js';
import { splitUnits } from '../../recall/haystack.js';
import { Bm25, buildIndex } from '../bm25.js';
import { leafCharacters } from '../leaves.js';
import type { Passage } from '../../answer/passages.js';
import { beginning, passagesOf, sharesWord, spanText, type Corpus } from '../reading-state.js';
import { drawOfKind, pronounOf, type Split } from './names.js';
import type { Phrasing } from './phrasings.js';

export type QuestionKind = 'fact' | 'temporal' | 'two-hop' | 'split' | 'count' | 'absent';

/**
 * What a sentence is to a question: the evidence; the first of two steps; the first half of a fact that goes on in the next leaf, and
 * the second, which does not say of what; near: of the same kind about something else, or about the same of another kind.
 */
export type Relation = 'evidence' | 'first' | 'half' | 'near';

export interface Planted {
  readonly leaf: number;
  readonly sentence: string;
  readonly relation: Relation;
  readonly phrasing: string;
}

export interface CorpusQuestion {
  readonly kind: QuestionKind;
  /** Of the sentence that answers it. */
  readonly phrasing: string;
  readonly question: string;
  /** null: it is not there. */
  readonly expected: string | null;
  readonly planted: readonly Planted[];
}

export interface SimulatedCorpus extends Corpus {
  readonly leaves: readonly string[];
  readonly questions: readonly CorpusQuestion[];
  /** All sentences that were hidden in a leaf, of whichever question. */
  plantedIn(leaf: number): readonly Planted[];
}

export interface CorpusOptions {
  readonly leaves: number;
  readonly questions: number;
  readonly split: Split;
  readonly phrasings: readonly Phrasing[];
  /** Public-domain text. */
  readonly prose: string;
}

/** How often each kind is asked, of 100. */
const MIXTURE: readonly (readonly [QuestionKind, number])[] = [['absent', 20], ['two-hop', 22], ['temporal', 12], ['split', 8], ['count', 4], ['fact', 34]];

/** Sentences that look like evidence, for each question, at most. */
const MOST_NEAR = 6;

function drawQuestionKind(random: Random): QuestionKind {
  let left = randomBelow(100, random);
  for (const [kind, share] of MIXTURE) {
    if (left < share) return kind;
    left -= share;
  }
  return 'fact';
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function fill(template: string, key: string, value: string): string {
  return capitalised(template.replace('{k}', () => key).replace('{v}', () => value));
}

/** A sentence to be hidden; where decides the corpus. */
interface Draft extends Omit<Planted, 'leaf'> {
  /** 'next': at the beginning of the leaf behind the draft before it, which stands at its leaf's end. */
  readonly where: 'anywhere' | 'end' | 'next';
}

type QuestionDraft = Omit<CorpusQuestion, 'planted'> & { readonly drafts: readonly Draft[] };

/** Draws questions; remembers what is taken, so that no two facts of a corpus contradict each other. */
class Drafter {
  readonly #taken = new Set<string>();

  constructor(
    private readonly phrasings: readonly Phrasing[],
    private readonly split: Split,
    private readonly random: Random,
  ) {}

  draw(): QuestionDraft {
    const kind = drawQuestionKind(this.random);
    if (kind === 'two-hop') return this.#twoHop();
    if (kind === 'count') return this.#count();
    const phrasing = pick(this.phrasings, this.random);
    const keyKind = pick(phrasing.keys, this.random);
    const key = this.#key(phrasing, keyKind);
    const near = this.#near(phrasing, key, keyKind);
    const question = fill(pick(phrasing.questions, this.random), key, '');
    const value = this.#value(phrasing);
    const base = { kind, phrasing: phrasing.name, question, expected: value };
    if (kind === 'absent') return { ...base, expected: null, drafts: near };
    if (kind === 'temporal') return this.#temporal(base, phrasing, key, near);
    if (kind === 'split') {
      const head = { sentence: capitalised(`${pick(['the margin has a note about', 'there is more to tell of', 'nothing was written of late about'], this.random)} ${key}.`), relation: 'half', phrasing: phrasing.name, where: 'end' } as const;
      const tail = { sentence: fill(pick(phrasing.facts, this.random), pronounOf(keyKind), value), relation: 'half', phrasing: phrasing.name, where: 'next' } as const;
      return { ...base, drafts: [head, tail, ...near] };
    }
    return { ...base, drafts: [this.#fact(phrasing, key, value, 'evidence'), ...near] };
  }

  #temporal(base: Omit<CorpusQuestion, 'planted'>, phrasing: Phrasing, key: string, near: readonly Draft[]): QuestionDraft {
    const years = drawDistinct(Array.from({ length: 120 }, (_, i) => 1820 + i), 2 + randomBelow(2, this.random), this.random);
    const dated = (year: number, value: string, relation: Relation): Draft => {
      const { sentence, ...rest } = this.#fact(phrasing, key, value, relation);
      return { ...rest, sentence: `In the year ${year} things stood thus: ${sentence}` };
    };
    const drafts = years.map((year, i) => (i === 0 ? dated(year, base.expected!, 'evidence') : dated(year, this.#value(phrasing), 'near')));
    return { ...base, question: `In the year ${years[0]}, ${base.question.charAt(0).toLowerCase()}${base.question.slice(1)}`, drafts: [...drafts, ...near] };
  }

  #twoHop(): QuestionDraft {
    const links = this.phrasings.filter(({ reference }) => reference !== undefined);
    const first = pick(links, this.random);
    const bridgeKind = first.values[0]!;
    const second = pick(this.phrasings.filter(({ keys, name }) => keys.includes(bridgeKind) && name !== first.name), this.random);
    const start = this.#key(first, pick(first.keys, this.random));
    const bridge = this.#key(second, bridgeKind);
    const value = this.#value(second);
    const question = fill(pick(second.questions, this.random), first.reference!.replace('{k}', () => start), '');
    const drafts = [this.#fact(first, start, bridge, 'first'), this.#fact(second, bridge, value, 'evidence'), ...this.#near(second, bridge, bridgeKind), ...this.#near(first, start, first.keys[0]!, 2)];
    return { kind: 'two-hop', phrasing: second.name, question, expected: value, drafts };
  }

  #count(): QuestionDraft {
    const key = drawOfKind('thing', this.split, this.random);
    const times = 2 + randomBelow(4, this.random);
    const sentence = (): string => `On the ${1 + randomBelow(28, this.random)}th the inspector called at ${key} and went away content.`;
    const drafts = Array.from({ length: times }, (): Draft => ({ sentence: sentence(), relation: 'evidence', phrasing: 'visits', where: 'anywhere' }));
    return { kind: 'count', phrasing: 'visits', question: `How many times did the inspector call at ${key}?`, expected: String(times), drafts };
  }

  #fact(phrasing: Phrasing, key: string, value: string, relation: Relation): Draft {
    return { sentence: fill(pick(phrasing.facts, this.random), key, value), relation, phrasing: phrasing.name, where: 'anywhere' };
  }

  /** The same of others, whose names share a word with the key where that can be, and other things of the same. */
  #near(phrasing: Phrasing, key: string, keyKind: string, most = MOST_NEAR): Draft[] {
    return Array.from({ length: randomBelow(most + 1, this.random) }, (): Draft => {
      const others = this.phrasings.filter(({ keys, name }) => name !== phrasing.name && keys.includes(keyKind));
      if (others.length > 0 && this.random() < 0.3) {
        const other = pick(others, this.random);
        this.#taken.add(`${other.name}\0${key}`);
        return this.#fact(other, key, this.#value(other), 'near');
      }
      return this.#fact(phrasing, this.#key(phrasing, keyKind, key), this.#value(phrasing), 'near');
    });
  }

  #value({ values }: Phrasing): string {
    return drawOfKind(pick(values, this.random), this.split, this.random);
  }

  /** A name that no fact of this phrasing is about; with `like`, rather one that shares a word with it. */
  #key({ name }: Phrasing, kind: string, like?: string): string {
    const words = new Set(like?.split(' ').filter((word) => /^\p{Lu}/u.test(word)));
    let key = '';
    for (let tries = 0; tries < 200; tries++) {
      key = drawOfKind(kind, this.split, this.random);
      if (this.#taken.has(`${name}\0${key}`)) continue;
      if (words.size === 0 || tries > 60 || key.split(' ').some((word) => words.has(word))) break;
    }
    this.#taken.add(`${name}\0${key}`);
    return key;
  }
}

/** A leaf of prose: sentences in a row, about as long as a real leaf. */
function fillerLeaf(sentences: readonly string[], random: Random): string[] {
  const leaf: string[] = [];
  let length = 0;
  const most = leafCharacters * (0.7 + 0.25 * random());
  for (let i = randomBelow(sentences.length, random); length < most; i = (i + 1) % sentences.length) {
    leaf.push(sentences[i]!);
    length += sentences[i]!.length;
  }
  return leaf;
}

/** Passages kept; then all are forgotten, which the next questions make good. */
const MOST_KEPT = 20_000;

/** The same questions come again and again; finding their passages is most of the work, and where no word is shared there is none. */
function keepPassages(index: Bm25, text: Corpus['text']): Corpus['passages'] {
  const kept = new Map<string, readonly Passage[]>();
  return (level, span, weights) => {
    if (!sharesWord(index, weights, span)) return [beginning(spanText({ text }, span))];
    const key = `${level} ${span.join('-')} ${[...weights.keys()].join(' ')}`;
    const known = kept.get(key);
    if (known) return known;
    const made = passagesOf(level, spanText({ text }, span), weights);
    if (kept.size >= MOST_KEPT) kept.clear();
    kept.set(key, made);
    return made;
  };
}

/** The same random numbers give the same corpus. Throws RangeError where there are fewer than four leaves for each question. */
export function makeCorpus({ leaves: count, questions: asked, split, phrasings, prose }: CorpusOptions, random: Random): SimulatedCorpus {
  // So there is room for every fact that takes two leaves.
  if (count < 4 * asked) throw new RangeError(`${count} leaves are too few for ${asked} questions`);
  const sentences = splitUnits(prose);
  const pieces = Array.from({ length: count }, () => fillerLeaf(sentences, random));
  const drafter = new Drafter(phrasings, split, random);
  const planted: Planted[][] = Array.from({ length: count }, () => []);
  // A leaf's first and last sentence may belong to a fact that is split; nothing else goes there.
  const edges = new Set<number>();
  const hide = ({ where, ...rest }: Draft, before: number): Planted => {
    let leaf = where === 'next' ? before + 1 : randomBelow(count, random);
    if (where === 'end') while (leaf + 1 >= count || edges.has(leaf) || edges.has(leaf + 1)) leaf = (leaf + 1) % count;
    const list = pieces[leaf]!;
    const sentence = `${rest.sentence} `;
    if (where === 'anywhere') list.splice(1 + randomBelow(Math.max(1, list.length - 1), random), 0, sentence);
    else if (where === 'end') list.push(sentence);
    else list.unshift(sentence);
    if (where !== 'anywhere') edges.add(leaf);
    const result = { ...rest, leaf };
    planted[leaf]!.push(result);
    return result;
  };
  const questions = Array.from({ length: asked }, (): CorpusQuestion => {
    const { drafts, ...question } = drafter.draw();
    const own: Planted[] = [];
    for (const draft of drafts) own.push(hide(draft, own.at(-1)?.leaf ?? 0));
    return { ...question, planted: own };
  });
  const leaves = pieces.map((list) => list.join(''));
  const text = (leaf: number): string => leaves[leaf]!;
  const index = new Bm25(buildIndex(leaves));
  return {
    leaves,
    questions,
    index,
    text,
    passages: keepPassages(index, text),
    continues: (leaf) => leaf + 1 < leaves.length,
    plantedIn: (leaf) => planted[leaf]!,
  };
}
