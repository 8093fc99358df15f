/**
 * The second look. A small extractive model finds more in a page than in a book: when it has read everything, it reads
 * the passages that share most words with the question once more, each alone, and the answer it can best stand by is
 * taken. What a reading is worth is its probability times how much of the question its passage speaks of.
 */
import type { ParsedAnswer } from '../encode/prompt.js';
import { fold } from './fold.js';
import type { Passage } from './passages.js';
import { contentWords } from './words.js';

export interface Reading {
  readonly parsed: ParsedAnswer;
  /** Product of the token probabilities, 0..1. */
  readonly confidence: number;
  readonly tokens: number;
  readonly finish: 'stop' | 'length' | 'context';
  /** null: everything was read. */
  readonly passage: Passage | null;
}

/** Passages read again, of each length. */
export const defaultLooks = 6;

/**
 * Lengths of a passage in characters: a sentence or a few, which the model's window covers with the question, so that every
 * layer can compare the two. Chosen on held-out documents and questions that no measurement uses.
 */
export const passageCharacters = [260, 400] as const;

/** A passage that lacks a word of the question is much less likely to be the right one. */
const RELEVANCE_POWER = 4;
/** What the reading of everything is worth, beside a passage that has all words of the question. */
const WHOLE_RELEVANCE = 0.1;
/** Below this worth, "not found" is right more often than the answer. */
const LEAST_WORTH = 0.01;

/** An answer in words of the question alone tells nothing. */
function onlyRepeats(answer: string, question: ReadonlySet<string>): boolean {
  return contentWords(fold(answer).text).every((word) => question.has(word));
}

/** The best of a reading of everything and readings of passages; not found, where none is worth believing. */
export function chooseReading(question: string, whole: Reading, looks: readonly Reading[]): Reading {
  if (looks.length === 0) return whole;
  const asked = new Set(contentWords(fold(question).text));
  const worth = ({ parsed, confidence, passage }: Reading): number => {
    if (!parsed.found) return 0;
    if (passage === null) return WHOLE_RELEVANCE * confidence;
    return onlyRepeats(parsed.answer, asked) ? 0 : confidence * passage.relevance ** RELEVANCE_POWER;
  };
  const best = [...looks, whole].reduce((a, b) => (worth(b) > worth(a) ? b : a));
  return worth(best) >= LEAST_WORTH ? best : { ...whole, parsed: { found: false, answer: '', needle: '' } };
}
