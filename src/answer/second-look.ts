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
 * Lengths of a passage in characters: a few sentences, where there is little to mistake for the answer, and a paragraph or
 * two, for facts that take more room. Chosen on generated documents.
 */
export const passageCharacters = [350, 1000] as const;

/** A passage that lacks a word of the question is much less likely to be the right one. */
const RELEVANCE_POWER = 4;
/** Below this worth, chosen on generated documents, "not found" is right more often than the answer. */
const LEAST_WORTH = 0.02;
/** The whole reading stands alone if it is this sure, and no passage gives an answer. */
const SURE = 0.5;

/** An answer in words of the question alone tells nothing. */
function onlyRepeats(answer: string, question: ReadonlySet<string>): boolean {
  return contentWords(fold(answer).text).every((word) => question.has(word));
}

/** The best of a reading of everything and readings of passages; not found, where none is worth believing. */
export function chooseReading(question: string, whole: Reading, looks: readonly Reading[]): Reading {
  if (looks.length === 0) return whole;
  const asked = new Set(contentWords(fold(question).text));
  const worth = ({ parsed, confidence, passage }: Reading): number =>
    !parsed.found || passage === null || onlyRepeats(parsed.answer, asked) ? 0 : confidence * passage.relevance ** RELEVANCE_POWER;
  const best = looks.reduce((a, b) => (worth(b) > worth(a) ? b : a));
  if (worth(best) >= LEAST_WORTH) return best;
  if (whole.parsed.found && whole.confidence >= SURE) return whole;
  return { ...whole, parsed: { found: false, answer: '', needle: '' } };
}
