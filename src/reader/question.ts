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
  /** Stemmed, the rarest first; never empty. */
  readonly words: readonly string[];
}

/** New words of one search. */
const MOST_NEW = 4;
/** A name stands in fewer leaves than this share of them. */
const RARE_SHARE = 0.05;

/**
 * The sentence of `passage` that has most of the question's words and names something beside them: the archive, where the question is about
 * the archive that somebody keeps. null: none does.
 */
export function leadOf(passage: string, weights: Weights, index: Bm25): Lead | null {
  const most = Math.max(8, RARE_SHARE * index.index.leaves);
  let best: Lead | null = null;
  let bestRelevance = 0;
  for (const sentence of splitSentences(passage)) {
    const relevance = relevanceOf(wordsOf(sentence), weights);
    if (relevance <= bestRelevance) continue;
    // The first word is capitalised whatever it is; it counts only where it is rare, as all must be.
    const names = sentence.match(/\p{Lu}[\p{L}\p{N}]*|\p{N}+/gu) ?? [];
    const rare = (word: string): boolean => !weights.has(word) && index.leavesWith(word) > 0 && index.leavesWith(word) <= most;
    const words = [...wordsOf(names.join(' '))].filter(rare).sort((a, b) => index.leavesWith(a) - index.leavesWith(b));
    if (words.length === 0) continue;
    bestRelevance = relevance;
    best = { sentence: sentence.trim(), words: words.slice(0, MOST_NEW) };
  }
  return best;
}
