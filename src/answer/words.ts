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

/** Of a name's first letters, those that must agree: "Canadian" speaks of Canada, "Lisbon's" of Lisbon, "Paris" of no part. */
const NAME_SHARE = 0.6;
const FEWEST_LETTERS = 4;
/** As short, it must be a word of its own. */
const INITIALS = 2;

/** Words that are written as names are, the first word, which always is, left out. */
function namesIn(question: string): string[] {
  const words = question.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.slice(1).filter((word) => /^\p{Lu}/u.test(word) && !STOP_WORDS.has(word.toLowerCase()));
}

const withoutAccents = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '');

/** Of names, those that no word of the texts begins like; all of them are folded. */
function standNowhere(names: readonly string[], texts: readonly string[]): string[] {
  return names.filter((name) => {
    const start = name.slice(0, Math.max(FEWEST_LETTERS, Math.ceil(name.length * NAME_SHARE)));
    const end = name.length <= INITIALS ? '(?![\\p{L}\\p{N}])' : '';
    const word = new RegExp(`(?<![\\p{L}\\p{N}])${start}${end}`, 'u');
    return !texts.some((text) => word.test(text));
  });
}

/** Whether the question has a name that no word of the folded texts begins like, accents or not. */
export function namesUnknown(question: string, texts: readonly string[]): boolean {
  const missing = standNowhere(namesIn(question).map((name) => name.toLowerCase()), texts);
  return missing.length > 0 && standNowhere(missing.map(withoutAccents), texts.map(withoutAccents)).length > 0;
}
