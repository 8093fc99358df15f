/** Right or wrong, by the published rules of each test. Pure functions of texts. */
import { sequenceRatio } from './sequence-matcher.js';

/** What one answer is worth. */
export interface Score {
  readonly hit: boolean;
  /** 0..1: partial credit; 0 or 1 where the rule has none. */
  readonly score: number;
}

/**
 * - `contains`: the expected string stands in the answer (Gemini 1.5's needle test).
 * - `part`: one of them does (RULER's string_match_part).
 * - `all`: all of them do; the score is the share of them that do (RULER's string_match_all).
 * - `only`: the expected label, and no other of `labels` (BABILong); what follows the answer's first full stop is not read.
 * - `mrcr`: what follows the last hash in the answer, compared with the text (GDM's mrcr_v2); `expected` is hash and text.
 * - `squad`: exact match is the hit and token F1 the score, best over the expected answers.
 * - `absent`: "not found" is right.
 * - `unobeyed`: whatever is not forbidden is right, "not found" too.
 */
export type Scoring = 'contains' | 'part' | 'all' | 'only' | 'mrcr' | 'squad' | 'absent' | 'unobeyed';

/** What beside the expected answers some rules look at. */
export interface ScoringContext {
  /** Of `only`: all answers that there are, but those that the question names. */
  readonly labels?: readonly string[];
  /** An answer that holds one of these is wrong by any rule. */
  readonly forbidden?: readonly string[];
}

/** @param answer '' for "not found" */
export function scoreAnswer(scoring: Scoring, answer: string, expected: readonly string[], { labels = [], forbidden = [] }: ScoringContext = {}): Score {
  if (forbidden.some((one) => isHit(answer, one))) return binary(false);
  switch (scoring) {
    case 'absent':
      return binary(answer === '');
    case 'unobeyed':
      return binary(true);
    case 'contains':
      return binary(answer !== '' && expected.every((one) => isHit(answer, one)));
    case 'part':
      return binary(expected.some((one) => isHit(answer, one)));
    case 'all': {
      const score = shareContained(answer, expected);
      return { hit: score === 1, score };
    }
    case 'only':
      return binary(isOnlyLabel(answer, expected[0]!, labels));
    case 'mrcr':
      return scoreMrcr(answer, expected[0]!);
    case 'squad':
      return {
        hit: expected.some((gold) => exactMatch(answer, gold)),
        score: Math.max(0, ...expected.map((gold) => tokenF1(answer, gold))),
      };
  }
}

/** Characters of the hash in front of an answer of MRCR. */
export const MRCR_HASH = 12;
/** A copy with a slip or two. */
const COPIED = 0.95;

/**
 * The score is the official one, with autojunk, which may be far too low for an answer that differs by a few characters;
 * whether it is a hit is decided without.
 */
function scoreMrcr(answer: string, expected: string): Score {
  const said = answer.trim();
  const at = said.lastIndexOf(expected.slice(0, MRCR_HASH));
  if (at < 0) return binary(false);
  const text = expected.slice(MRCR_HASH).trim();
  const copy = said.slice(at + MRCR_HASH).trim();
  return { hit: sequenceRatio(text, copy, false) >= COPIED, score: sequenceRatio(text, copy) };
}

function isOnlyLabel(answer: string, expected: string, labels: readonly string[]): boolean {
  const said = answer.toLowerCase().split('.')[0]!;
  const named = labels.filter((label) => said.includes(label.toLowerCase()));
  return named.length === 1 && named[0] === expected;
}

/**
 * Whether an answer says that there is none. '' is this project's own form; a chat model says it in words, at the start
 * of its answer.
 */
export function isRefusal(answer: string): boolean {
  const said = answer.trim();
  if (said === '') return true;
  return /^[^.!?\n]{0,120}?(?:\bunanswerable\b|\b(?:not|never) (?:mentioned|found|given|stated|provided|specified|available|contain(?:ed)?|there)\b|\b(?:can(?:not|['\u2019]t| not)|could(?: not|n['\u2019]t)) (?:be )?(?:find|found|answer|determine|locate)|\bno (?:information|mention|such)\b|\b(?:does|do|did)(?: not|n['\u2019]t) (?:say|mention|contain|state|specify|provide|give|include)\b)/iu.test(said);
}

function binary(hit: boolean): Score {
  return { hit, score: hit ? 1 : 0 };
}

/** The expected string stands in the response, case and white space aside. */
export function isHit(response: string, expected: string): boolean {
  const squash = (text: string): string => text.toLowerCase().replace(/\s+/gu, ' ');
  return squash(response).includes(squash(expected));
}

/** RULER's string_match_all for one sample: the share of `expected` that stands in the answer. */
export function shareContained(answer: string, expected: readonly string[]): number {
  return expected.filter((one) => isHit(answer, one)).length / expected.length;
}

/** The official SQuAD normalisation: lower case, no punctuation (ASCII), no articles, single spaces. */
export function normaliseSquad(text: string): string {
  return text
    .toLowerCase()
    .replace(/[!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]/gu, '')
    // Python's \b, which the official script uses, is Unicode's; JavaScript's is ASCII's.
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .split(/\s+/u)
    .filter((word) => word !== '')
    .join(' ');
}

export function exactMatch(answer: string, gold: string): boolean {
  return normaliseSquad(answer) === normaliseSquad(gold);
}

/** SQuAD's F1 over bags of normalised words. */
export function tokenF1(answer: string, gold: string): number {
  const words = (text: string): string[] => normaliseSquad(text).split(' ').filter((word) => word !== '');
  const given = words(answer);
  const wanted = words(gold);
  // The official script of SQuAD 2.0: where either is empty, only both empty is right.
  if (given.length === 0 || wanted.length === 0) return given.length === wanted.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let common = 0;
  for (const word of given) {
    const count = left.get(word) ?? 0;
    if (count > 0) {
      common++;
      left.set(word, count - 1);
    }
  }
  if (common === 0) return 0;
  const precision = common / given.length;
  const recall = common / wanted.length;
  return (2 * precision * recall) / (precision + recall);
}

const words = (text: string): string[] => text.match(/[\p{L}\p{N}][\p{L}\p{N}.,:%'-]*(?<![.,:'-])/gu) ?? [];

/**
 * For questions about documents, where one right answer was written down and others are as good. Right: the answer holds
 * the expected words; or it is a part of them that says as much: every number, and more than half of the names, or, where
 * the expected answer has neither, at least half of its words.
 */
export function isRight(answer: string, expected: string): boolean {
  if (isHit(answer, expected)) return true;
  if (answer.trim() === '' || !isHit(expected, answer.trim().replace(/[.,;]$/u, ''))) return false;
  const given = new Set(words(answer));
  const wanted = words(expected);
  const numbers = wanted.filter((word) => /\d/u.test(word));
  const names = wanted.filter((word) => /^\p{Lu}/u.test(word));
  const share = (list: readonly string[]): number => (list.length === 0 ? 1 : list.filter((word) => given.has(word)).length / list.length);
  if (numbers.length + names.length === 0) return share(wanted) >= 0.5;
  return share(numbers) === 1 && share(names) > 0.5;
}
