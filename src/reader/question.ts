/** What is searched for: the question's words, later those that were found to stand for something in it. */
import { fold } from '../answer/fold.js';
import { contentWords } from '../answer/words.js';
import { splitSentences } from '../recall/haystack.js';
import type { Bm25 } from './bm25.js';

/** What each word (stemmed) weighs: its rareness in the index. */
export type Weights = ReadonlyMap<string, number>;

export function wordsOf(text: string): Set<string> {
  return new Set(contentWords(fold(text).text));
}

export function weigh(words: Iterable<string>, index: Bm25): Weights {
  return new Map([...words].map((word) => [word, index.rareness(word)]));
}

/** Share of the weights that `words` has: 0..1. */
export function relevanceOf(words: ReadonlySet<string>, weights: Weights): number {
  let sum = 0;
  let all = 0;
  for (const [word, weight] of weights) {
    all += weight;
    if (words.has(word)) sum += weight;
  }
  return all === 0 ? 0 : sum / all;
}

/** Where a further search may start: a sentence that was read, and what it names beside the question's own words. */
export interface Lead {
  readonly sentence: string;
  /** How likely it is meant: of leads, the one with most is followed. Above 0. */
  readonly score: number;
  /** Stemmed, the rarest first; never empty. */
  readonly words: readonly string[];
}

/** New words of one search. */
const MOST_NEW = 4;
/** A name stands in fewer leaves than this share of them. */
const RARE_SHARE = 0.05;
/** The names of a question say what it is about; its other words are often not those of the text. */
const NAMES_COUNT = 2;

const NAME = /\p{Lu}[\p{L}\p{N}]*|\p{N}+/gu;

/** The names in a question, stemmed: its capitalised words but for the first, which is capitalised whatever it is. */
export function namesOf(question: string): Set<string> {
  return wordsOf((question.trim().replace(/^\S+/u, '').match(NAME) ?? []).join(' '));
}

function onlyNames(weights: Weights, names: ReadonlySet<string>): Weights {
  return new Map([...weights].filter(([word]) => names.has(word)));
}

/**
 * The sentence of `passage` that has most of the question's names and words, and names something beside them: the archive, where the question
 * is about the archive that somebody keeps. null: none does.
 * @param names of what is searched for, those words that are names
 */
export function leadOf(passage: string, weights: Weights, names: ReadonlySet<string>, index: Bm25): Lead | null {
  const most = Math.max(8, RARE_SHARE * index.index.leaves);
  const named = onlyNames(weights, names);
  let best: Lead | null = null;
  for (const sentence of splitSentences(passage)) {
    const held = wordsOf(sentence);
    const score = relevanceOf(held, weights) + NAMES_COUNT * relevanceOf(held, named);
    if (score <= (best?.score ?? 0)) continue;
    const rare = (word: string): boolean => !weights.has(word) && index.leavesWith(word) > 0 && index.leavesWith(word) <= most;
    const words = [...wordsOf((sentence.match(NAME) ?? []).join(' '))].filter(rare).sort((a, b) => index.leavesWith(a) - index.leavesWith(b));
    if (words.length > 0) best = { sentence: sentence.trim(), score, words: words.slice(0, MOST_NEW) };
  }
  return best;
}

/** What to search for behind a lead: what it names, and of what was searched for before, all that it does not answer already. */
export function followLead({ sentence, words }: Lead, weights: Weights, index: Bm25): Weights {
  const answered = wordsOf(sentence);
  return new Map([...[...weights].filter(([word]) => !answered.has(word)), ...weigh(words, index)]);
}
