/**
 * Names of a question that stand in no source: then the sources most likely don't know, or the name is misspelt. A word of the
 * sources that is nearly the same is told, and a long name that is off by one letter is taken for it.
 */
import { editDistance } from '../edit-distance.js';
import type { IngestedSource } from '../ingest/segment.js';
import { fold } from './fold.js';
import { isStopWord } from './words.js';

/** A name of the question that no word of the sources begins like. */
export interface UnknownName {
  /** As the question writes it. */
  readonly name: string;
  /** The word of the sources that is most like it, as they write it; null: none is. */
  readonly nearest: string | null;
  /** So much like it that the question is read as if that word stood there. */
  readonly read_as_nearest: boolean;
}

/** Of a name's first letters, those that must agree: "Canadian" speaks of Canada, "Lisbon's" of Lisbon, "Paris" of no part. */
const NAME_SHARE = 0.6;
const FEWEST_LETTERS = 4;
/** As short, it must be a word of its own. */
const INITIALS = 2;

/** Names of fewer letters have nothing near: one letter makes another of them. */
const SHORTEST_NEAR = 4;
/**
 * From here on two letters may differ in what is told. And one letter makes no other name: of 1,100 names so long in five lists
 * (cities, countries, two books, encyclopedia articles) none was one letter from another, spellings of the same apart; of names
 * of five to seven letters 1 in 50 was (Iceland, Ireland), and with two letters Austria is Australia.
 */
const LONG_NAME = 8;

/** Words that are written as names are, the first word, which always is, left out. */
function namesIn(question: string): string[] {
  const words = question.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.slice(1).filter((word) => /^\p{Lu}/u.test(word) && !isStopWord(word.toLowerCase()));
}

const withoutAccents = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '');

/** Of names, those that no word of the texts begins like, both made comparable. */
function standNowhere(names: readonly string[], texts: readonly string[], comparable: (text: string) => string): string[] {
  return names.filter((written) => {
    const name = comparable(written);
    const start = name.slice(0, Math.max(FEWEST_LETTERS, Math.ceil(name.length * NAME_SHARE)));
    const end = name.length <= INITIALS ? '(?![\\p{L}\\p{N}])' : '';
    const word = new RegExp(`(?<![\\p{L}\\p{N}])${start}${end}`, 'u');
    return !texts.some((text) => word.test(text));
  });
}

/** Names of the question that no word of the folded texts begins like, accents or not, as the question writes them. */
export function namesNowhere(question: string, texts: readonly string[]): string[] {
  const missing = standNowhere(namesIn(question), texts, (name) => name.toLowerCase());
  return missing.length === 0 ? [] : standNowhere(missing, texts.map(withoutAccents), (name) => withoutAccents(name.toLowerCase()));
}

/** @param corrects whether the question will be read `asRead` */
export function unknownNames(question: string, sources: readonly IngestedSource[], corrects: boolean): UnknownName[] {
  if (namesIn(question).length === 0) return [];
  const texts = sources.map(({ segments }) => segments.map(({ text }) => text).join(''));
  const missing = namesNowhere(question, texts.map((text) => fold(text).text));
  if (missing.length === 0) return [];
  const words = writtenAsNames(texts);
  return missing.map((name) => {
    const { nearest, sure } = nearestTo(name, words);
    return { name, nearest, read_as_nearest: sure && corrects };
  });
}

/** The question as it is read: long names that are off by one letter as the sources write them. */
export function asRead(question: string, names: readonly UnknownName[]): string {
  const read = new Map(names.flatMap(({ name, nearest, read_as_nearest: taken }) => (taken ? [[name, nearest!]] : [])));
  return read.size === 0 ? question : question.replaceAll(/[\p{L}\p{N}]+/gu, (word) => read.get(word) ?? word);
}

/** Every word that begins with a capital, and how often. */
function writtenAsNames(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) for (const [word] of text.matchAll(/(?<![\p{L}\p{N}])\p{Lu}[\p{L}\p{N}]+/gu)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

const comparable = (word: string): string => withoutAccents(word.toLowerCase());

/** Of the words that are as near, the one that occurs most often. */
function nearestTo(written: string, words: ReadonlyMap<string, number>): { readonly nearest: string | null; readonly sure: boolean } {
  const name = comparable(written);
  let best = { word: null as string | null, edits: name.length < SHORTEST_NEAR ? 0 : name.length < LONG_NAME ? 1 : 2, count: 0 };
  // A code that is off by one is another code.
  if (/\p{N}/u.test(name)) best.edits = 0;
  if (best.edits === 0) return { nearest: null, sure: false };
  for (const [word, count] of words) {
    if (Math.abs(word.length - name.length) > best.edits) continue;
    const edits = editDistance(name, comparable(word));
    if (edits < best.edits || (edits === best.edits && count > best.count)) best = { word, edits, count };
  }
  const sure = best.word !== null && best.edits === 1 && name.length >= LONG_NAME && comparable(best.word)[0] === name[0];
  return { nearest: best.word, sure };
}
