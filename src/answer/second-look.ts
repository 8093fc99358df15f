/**
 * The second look. A small extractive model finds more in a page than in a book: when it has read everything, it reads
 * the passages that share most words with the question once more, each alone, and the answer it can best stand by is
 * taken. What a reading is worth is its probability times how much of the question its passage speaks of, times how many
 * readings say the same.
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

/**
 * Lengths of a passage in characters: a sentence or a few, which the model's window covers with the question, so that every
 * layer can compare the two. Chosen on held-out documents and questions that no measurement uses.
 */
export const passageCharacters = [260, 400] as const;

/** A passage that lacks words of the question is less likely to be the right one. */
const RELEVANCE_POWER = 2;
/** Below this worth, "not found" is right more often than the answer. Both were chosen as `passageCharacters` was. */
export const leastWorth = 0.05;

/** What a reading is worth believing. @param votes readings that gave the same answer, this one included */
export function worthOf(confidence: number, relevance: number, votes: number): number {
  return confidence * relevance ** RELEVANCE_POWER * votes;
}

/** An answer in words of the question alone tells nothing. */
export function onlyRepeats(answer: string, question: ReadonlySet<string>): boolean {
  return contentWords(fold(answer).text).every((word) => question.has(word));
}

/**
 * The best of the readings of passages; not found, where none is worth believing. The reading of everything only has a voice:
 * alone it is wrong more often than right where passages that share words with the question do not bear it out.
 */
export function chooseReading(question: string, whole: Reading, looks: readonly Reading[]): Reading {
  if (looks.length === 0) return whole;
  const asked = new Set(contentWords(fold(question).text));
  // Passages overlap and differ in length: an answer that several readings give is likelier right.
  const votes = new Map<string, number>();
  for (const { parsed } of [...looks, whole]) {
    const answer = fold(parsed.answer).text;
    if (parsed.found) votes.set(answer, (votes.get(answer) ?? 0) + 1);
  }
  const worth = ({ parsed, confidence, passage }: Reading): number => {
    if (!parsed.found || onlyRepeats(parsed.answer, asked)) return 0;
    return worthOf(confidence, passage!.relevance, votes.get(fold(parsed.answer).text)!);
  };
  const best = looks.reduce((a, b) => (worth(b) > worth(a) ? b : a));
  return worth(best) >= leastWorth ? best : { ...whole, parsed: { found: false, answer: '', needle: '' } };
}
