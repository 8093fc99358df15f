/**
 * Needle in a haystack, as in Gemini 1.5 (section 5.2.1.2) and its ancestor by Arize: one sentence
 * "The special magic {city} number is: {number}" somewhere in prose, asked for at the end.
 */
import type { Tokenizer } from '../encode/tokenizer.js';

export interface NeedleTrial {
  readonly document: string;
  readonly question: string;
  readonly expected: string;
  /** Where the needle lies: 0 is the start, 100 the end. */
  readonly depthPercent: number;
}

/** `count` depths from 0 to 100 %, linearly spaced. */
export function linearDepths(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (count === 1 ? 50 : (100 * i) / (count - 1)));
}

/**
 * The first `tokens` tokens of the haystack, cut at a word; repeated from its start if it is too short.
 * Tokens are counted exactly by `tokenizer`, in blocks, so this is quick for long haystacks too.
 */
export async function cutToTokens(haystack: string, tokens: number, tokenizer: Tokenizer): Promise<string> {
  const BLOCK = 4096;
  let text = '';
  let left = tokens;
  for (let at = 0; left > 0; ) {
    if (at >= haystack.length) at = 0;
    let end = Math.min(haystack.length, at + BLOCK);
    const space = haystack.lastIndexOf(' ', end);
    if (end < haystack.length && space > at) end = space;
    const block = haystack.slice(at, end);
    const used = (await tokenizer.encodeText(block)).length;
    if (used > left) {
      const share = block.slice(0, Math.floor((block.length * left) / used));
      return text + share.slice(0, Math.max(0, share.lastIndexOf(' ')));
    }
    text += block;
    left -= used;
    at = end;
  }
  return text;
}

/** Puts the needle at the end of the sentence nearest before `depthPercent`, as the original test does. */
export function insertNeedle(document: string, needle: string, depthPercent: number): string {
  if (depthPercent >= 100) return `${document} ${needle}`;
  const target = Math.floor((document.length * depthPercent) / 100);
  const end = document.lastIndexOf('. ', target);
  const at = target === 0 || end < 0 ? 0 : end + 2;
  return `${document.slice(0, at)}${needle} ${document.slice(at)}`;
}

/** A trial of the original needle: a 7-digit number for a city. `document` is cut to length already. */
export function magicNumberTrial(document: string, city: string, depthPercent: number, random: () => number): NeedleTrial {
  const expected = String(1_000_000 + Math.floor(random() * 9_000_000));
  return {
    document: insertNeedle(document, `The special magic ${city} number is: ${expected}`, depthPercent),
    question: `What is the special magic ${city} number?`,
    expected,
    depthPercent,
  };
}

/** A hit is what the original counts: the number stands in the response. */
export function isHit(response: string, expected: string): boolean {
  const squash = (text: string): string => text.toLowerCase().replace(/\s+/gu, ' ');
  return squash(response).includes(squash(expected));
}
