/** Words as evidence: which of a text carry meaning, and how rare each is in the sources at hand. */

const STOP_WORDS = new Set(
  ('a an and are as at be been being by can could did do does for from had has have he her him his how i if in into is it its ' +
    'many me much my name no not of on one or our out s she so some t tell than that the their them then there these they this ' +
    'those to us was we were what when where which who whom whose why will with would you your please give').split(' '),
);

/** Texts say the same words again and again; then all are dropped. */
const stems = new Map<string, string>();
const mostStems = 50_000;

/** A light stem, so that "commands" meets "commanded": enough for ranking, no more is claimed. */
export function stem(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  if (stems.size >= mostStems) stems.clear();
  const made = makeStem(word);
  stems.set(word, made);
  return made;
}

function makeStem(word: string): string {
  if (/\d/u.test(word) || word.length < 5) return word;
  return word.replace(/(?:ies|ied|ing|edly|ed|es|ly|s|e|y)$/u, '');
}

/** Of a folded word, before it is stemmed. */
export function isStopWord(word: string): boolean {
  return STOP_WORDS.has(word);
}

/** The words of a folded text that carry meaning, stemmed. */
export function contentWords(folded: string): string[] {
  const words = folded.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.filter((word) => !isStopWord(word)).map(stem);
}

/** What a folded text has of some words, which are stemmed. */
export interface WordHits {
  /** Each place where one of them stands: where it begins. */
  readonly hits: readonly { readonly word: string; readonly at: number }[];
  /** How many of the text's words carry meaning, and how many of these are each of the words. */
  readonly total: number;
  readonly counts: ReadonlyMap<string, number>;
}

/** One pass over the text: a book has so many words that a warm answer waits for little else. */
export function findWords(words: ReadonlySet<string>, folded: string): WordHits {
  const hits: { word: string; at: number }[] = [];
  const counts = new Map<string, number>();
  let total = 0;
  let at = 0;
  for (const written of folded.match(/[\p{L}\p{N}]+/gu) ?? []) {
    const word = stem(written);
    const meaning = !isStopWord(written);
    if (meaning) total++;
    // Between two words there is nothing that a word could be found in.
    at = folded.indexOf(written, at);
    if (words.has(word)) {
      hits.push({ word, at });
      if (meaning) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    at += written.length;
  }
  return { hits, total, counts };
}

/** Rareness of each of `words` in texts where they were looked for: ln(words / (1 + occurrences)), at least 0. */
export function rareness(words: ReadonlySet<string>, texts: readonly WordHits[]): Map<string, number> {
  const sum = (of: (text: WordHits) => number): number => texts.reduce((all, text) => all + of(text), 0);
  const total = sum((text) => text.total);
  return new Map([...words].map((word) => [word, Math.max(0, Math.log((total + 1) / (1 + sum(({ counts }) => counts.get(word) ?? 0))))]));
}
