/** Documents of a given length in tokens, and needles at given depths of them. */
import { splitAtSpaces } from '../encode/split.js';
import type { TokenCounter } from './trial.js';
import { upperBound } from '../upper-bound.js';

/** A piece of a haystack between whose neighbours a needle may go: a sentence with the white space after it. */
export interface Unit {
  readonly text: string;
  readonly tokens: number;
}

export interface Needle {
  readonly text: string;
  /** 0 is the start, 100 the end. */
  readonly depthPercent: number;
}

/** Ends of sentences: a mark, the quotes that close with it, white space. */
const SENTENCE_END = /[.!?]["'\u2019\u201d)\]]*\s+/gu;

/** Sentences with the white space behind them; joined, they are the text. Abbreviations end one too, as in the original test. */
export function splitSentences(text: string): string[] {
  const sentences: string[] = [];
  let from = 0;
  for (const { 0: end, index } of text.matchAll(SENTENCE_END)) {
    sentences.push(text.slice(from, index + end.length));
    from = index + end.length;
  }
  if (from < text.length) sentences.push(text.slice(from));
  return sentences;
}

/** Longer sentences than these, in characters, are tables, lists or code: a needle may go between their lines. */
const LONG_SENTENCE = 600;

/** `splitSentences` for a text of any kind. */
export function splitUnits(text: string): string[] {
  return splitSentences(text).flatMap((sentence) => (sentence.length <= LONG_SENTENCE ? [sentence] : (sentence.match(/[^\n]*\n+|[^\n]+$/gu) ?? [sentence])));
}

/** Counted with the white space in front: there it belongs to the first word's token, and behind it would be one of its own. */
export async function countUnits(texts: readonly string[], count: TokenCounter): Promise<Unit[]> {
  const units: Unit[] = [];
  for (const text of texts) {
    const body = text.trimEnd();
    units.push({ text, tokens: await count(text.slice(body.length) + body) });
  }
  return units;
}

/** The most characters that are counted in one go: the time a tokenizer takes may grow faster than the text. */
const COUNTED = 4000;

/** Tokens of a text of any length, counted in parts that begin with white space. */
export async function countLong(text: string, count: TokenCounter): Promise<number> {
  let tokens = 0;
  for (const part of splitAtSpaces(text, COUNTED)) tokens += await count(part);
  return tokens;
}

/**
 * Units from `start` on, again from the first where they end, of about `tokens` tokens together: the last one is cut at a
 * word, by its share of characters, and may be a few tokens longer or shorter than that.
 */
export function fillTokens(units: readonly Unit[], tokens: number, start = 0): Unit[] {
  if (!units.some((unit) => unit.tokens > 0)) throw new RangeError('a haystack without tokens');
  const filled: Unit[] = [];
  let left = tokens;
  for (let i = start % units.length; left > 0; i = (i + 1) % units.length) {
    const unit = units[i]!;
    if (unit.tokens <= left) {
      filled.push(unit);
      left -= unit.tokens;
      continue;
    }
    const share = unit.text.slice(0, Math.floor((unit.text.length * left) / unit.tokens));
    const cut = share.slice(0, share.lastIndexOf(' ') + 1);
    if (cut !== '') filled.push({ text: cut, tokens: left });
    break;
  }
  return filled;
}

export interface Placed {
  /** The document's pieces: units, and needles among them. */
  readonly pieces: readonly string[];
  /** Where each needle came to stand, in the order they were given: tokens of the haystack before it, in %. */
  readonly depthsPercent: readonly number[];
}

/** Puts each needle at the end of the unit nearest before its depth. Needles at one place keep their order. */
export function placeNeedles(units: readonly Unit[], needles: readonly Needle[]): Placed {
  const before = [0];
  for (const { tokens } of units) before.push(before.at(-1)! + tokens);
  const total = before.at(-1)!;
  const placeOf = ({ depthPercent }: Needle): number => {
    if (depthPercent >= 100) return units.length;
    const target = (total * depthPercent) / 100;
    let place = upperBound(before, target) - 1;
    if (place > units.length) place = units.length;
    return Math.max(0, place);
  };
  const placed = needles.map((needle, i) => ({ text: needle.text, place: placeOf(needle), i })).sort((a, b) => a.place - b.place || a.i - b.i);
  const pieces: string[] = [];
  let next = 0;
  for (let place = 0; place <= units.length; place++) {
    for (; next < placed.length && placed[next]!.place === place; next++) {
      const last = pieces.at(-1);
      const space = last === undefined || /\s$/u.test(last) ? '' : ' ';
      pieces.push(`${space}${placed[next]!.text} `);
    }
    if (place < units.length) pieces.push(units[place]!.text);
  }
  const depthsPercent = needles.map((needle) => (total === 0 ? 0 : (100 * before[placeOf(needle)]!) / total));
  return { pieces, depthsPercent };
}

/** `count` depths from 0 to 100 %, linearly spaced. */
export function linearDepths(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (count === 1 ? 50 : (100 * i) / (count - 1)));
}
