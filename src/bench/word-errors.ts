/** Word error rate: substitutions, deletions and insertions (Levenshtein 1966), as a share of the words that were said. */

/** Lower case, without marks; apostrophes inside of words stay. */
export function spokenWords(text: string): string[] {
  return text.normalize('NFKD').toLowerCase().replaceAll('\u2019', "'").replaceAll(/[^\p{L}\p{N}'\s]+/gu, ' ').split(/\s+/u).map((word) => word.replaceAll(/^'+|'+$/gu, '')).filter((word) => word !== '');
}

export interface WordErrors {
  readonly errors: number;
  /** That were said. */
  readonly words: number;
}

export function wordErrors(said: string, heard: string): WordErrors {
  const [a, b] = [spokenWords(said), spokenWords(heard)];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (const [i, word] of a.entries()) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) next.push(Math.min(row[j + 1]! + 1, next[j]! + 1, row[j]! + (word === b[j] ? 0 : 1)));
    row = next;
  }
  return { errors: row.at(-1)!, words: a.length };
}

/** Of a corpus: all errors by all words, so that short clips do not weigh more. */
export function wordErrorRate(all: readonly WordErrors[]): number {
  return all.reduce((sum, { errors }) => sum + errors, 0) / Math.max(1, all.reduce((sum, { words }) => sum + words, 0));
}
