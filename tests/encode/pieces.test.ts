/** Joining pieces, against the definition: the pair of the lowest id, the leftmost of several, until there is none. */
import { describe, expect, it } from 'vitest';
import { PieceTokenizer, space } from '../../src/encode/pieces.js';
import { randomizer } from '../device/cases.js';

const bytes = Array.from({ length: 256 }, (_, i) => 1000 + i);

function byDefinition(text: string, pieces: ReadonlyMap<string, number>): number[] {
  const symbols = [...text.replaceAll(' ', space)];
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const id = pieces.get(symbols[i]! + symbols[i + 1]!);
      if (id !== undefined && (best < 0 || id < pieces.get(symbols[best]! + symbols[best + 1]!)!)) best = i;
    }
    if (best < 0) break;
    symbols.splice(best, 2, symbols[best]! + symbols[best + 1]!);
  }
  return symbols.flatMap((symbol) => pieces.get(symbol) ?? [...Buffer.from(symbol)].map((byte) => bytes[byte]!));
}

const random = randomizer(3);
const below = (n: number): number => Math.floor(((random() + 1) / 2) * n);
const letters = ['a', 'b', 'ab', ' ', 'c', '𝒳', 'é', 'aa'];
const someText = (most: number): string => Array.from({ length: below(most) }, () => letters[below(letters.length)]!).join('');

describe.each([
  ['spaces in front of pieces alone', /^\u2581*[^\u2581]*$/u],
  ['spaces anywhere', /(?:)/u],
])('%s', (_, allowed) => {
  it('gives the ids of the definition, for 40 vocabularies and 2000 texts, and the texts come back', () => {
    for (let round = 0; round < 40; round++) {
      const words = new Set(['a', 'b', 'c', space]);
      while (words.size < 24) {
        const piece = someText(6).replaceAll(' ', space);
        if (piece !== '' && allowed.test(piece)) words.add(piece);
      }
      // Ids in any order: characters need not come last.
      const pieces = new Map([...words].map((word) => [word, random()] as const).sort((a, b) => a[1] - b[1]).map(([word], id) => [word, id]));
      const tokens = [...pieces.keys()];
      const tokenizer = new PieceTokenizer({ pieces, added: new Map(), bytes, tokens, skipped: new Set() });
      for (let i = 0; i < 50; i++) {
        const text = someText(40);
        const ids = tokenizer.encode(text);
        expect(ids, JSON.stringify([text, tokens])).toEqual(byDefinition(text, pieces));
        expect(tokenizer.decode(ids)).toBe(text);
      }
    }
  });
});

it('takes a long word without spaces in its stride', () => {
  const pieces = new Map(['ab', 'abab', 'a', 'b'].map((piece, id) => [piece, id]));
  const tokenizer = new PieceTokenizer({ pieces, added: new Map(), bytes, tokens: [...pieces.keys()], skipped: new Set() });
  const started = performance.now();
  expect(tokenizer.encode('ab'.repeat(200_000))).toEqual(Array.from({ length: 100_000 }, () => 1));
  // Quadratic time would be hours.
  expect(performance.now() - started).toBeLessThan(30_000);
});

it('finds the longest added token first, and leaves out skipped ids', () => {
  const pieces = new Map(['x', '<', 'b', '>'].map((piece, id) => [piece, id]));
  const added = new Map([['<b>', 10], ['<b', 11], ['>x', 12]]);
  const tokens = ['x', '<', 'b', '>', ...Array.from({ length: 6 }, () => '?'), '<b>', '<b', '>x'];
  const tokenizer = new PieceTokenizer({ pieces, added, bytes, tokens, skipped: new Set([11]) });
  expect(tokenizer.encode('x<b>x<b<x>x')).toEqual([0, 10, 0, 11, 1, 0, 12]);
  expect(tokenizer.decode([0, 10, 0, 11, 1, 0, 12])).toBe('x<b>x<x>x');
  expect(tokenizer.decode([1000 + 0xc3, 11, 1000 + 0xa9, 0, 1000 + 0xc3])).toBe('éx\uFFFD');
});
