/**
 * The second look. A small extractive model finds more in a page than in a book: when it has read everything, it reads
 * the passages that share most words with the question once more, each alone, and the answer it can best stand by is
 * taken. What a reading is worth is its probability times how much of the question its passage speaks of.
 */
import type { ParsedAnswer } from '../encode/prompt.js';
import type { Passage } from './passages.js';

export interface Reading {
  readonly parsed: ParsedAnswer;
  /** Product of the token probabilities, 0..1. */
  readonly confidence: number;
  readonly tokens: number;
  readonly finish: 'stop' | 'length' | 'context';
  /** null: everything was read. */
  readonly passage: Passage | null;
}

/** Passages read again. */
export const defaultLooks = 6;

/** Characters of a passage, some 300 tokens: what the embedded model was trained on most. */
export const passageCharacters = 1000;

/** A passage that lacks a word of the question is much less likely to be the right one. */
const RELEVANCE_POWER = 4;
/** Below this worth, chosen on generated documents, "not found" is right more often than the answer. */
const LEAST_WORTH = 0.02;
/** The whole reading stands alone if it is this sure, and no passage gives an answer. */
const SURE = 0.5;

function worth({ parsed, confidence, passage }: Reading): number {
  return parsed.found && passage !== null ? confidence * passage.relevance ** RELEVANCE_POWER : 0;
}

/** @param readings the whole one first, then those of passages, most related first */
export function chooseReading(whole: Reading, looks: readonly Reading[]): Reading {
  if (looks.length === 0) return whole;
  const best = looks.reduce((a, b) => (worth(b) > worth(a) ? b : a));
  if (worth(best) >= LEAST_WORTH) return best;
  if (whole.parsed.found && whole.confidence >= SURE) return whole;
  return { ...whole, parsed: { found: false, answer: '', needle: '' } };
}
