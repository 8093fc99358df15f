/** Right or wrong, by the published rules of each test. Pure functions of texts. */

/** What one answer is worth. */
export interface Score {
  readonly hit: boolean;
  /** 0..1: partial credit; 0 or 1 where the rule has none. */
  readonly score: number;
}

/**
 * - `contains`: the expected string stands in the answer (Gemini 1.5's needle test).
 * - `any`: one of them does (RULER's string_match_part); the score is the share of them that do (string_match_all).
 * - `squad`: exact match is the hit and token F1 the score, best over the expected answers.
 * - `absent`: "not found" is right.
 */
export type Scoring = 'contains' | 'any' | 'squad' | 'absent';

/** @param answer '' for "not found" */
export function scoreAnswer(scoring: Scoring, answer: string, expected: readonly string[]): Score {
  switch (scoring) {
    case 'absent':
      return binary(answer === '');
    case 'contains':
      return binary(answer !== '' && expected.every((one) => isHit(answer, one)));
    case 'any':
      return { hit: expected.some((one) => isHit(answer, one)), score: shareContained(answer, expected) };
    case 'squad':
      return {
        hit: expected.some((gold) => exactMatch(answer, gold)),
        score: Math.max(0, ...expected.map((gold) => tokenF1(answer, gold))),
      };
  }
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
