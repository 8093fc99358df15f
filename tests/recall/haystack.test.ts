import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import { countUnits, fillTokens, linearDepths, placeNeedles, splitSentences } from '../../src/recall/haystack.js';
import { drawKeys, drawNumber, drawUnused, drawUuid, drawWordKeys } from '../../src/recall/keys.js';

const count = async (text: string): Promise<number> => text.split(/\s+/u).filter((word) => word !== '').length;
const fish = 'One fish. Two fish! “Red fish?”  Blue fish.\n\nNo fish';

describe('a haystack', () => {
  it('is split into sentences, and nothing is lost', () => {
    expect(splitSentences(fish)).toEqual(['One fish. ', 'Two fish! ', '“Red fish?”  ', 'Blue fish.\n\n', 'No fish']);
    expect(splitSentences(fish).join('')).toBe(fish);
    expect(splitSentences('')).toEqual([]);
  });
  it('has the tokens asked for, repeated and cut at a word', async () => {
    const units = await countUnits(splitSentences(`${fish}. `), count);
    for (let tokens = 0; tokens < 40; tokens++) {
      const text = fillTokens(units, tokens, 3).map((unit) => unit.text).join('');
      expect(await count(text)).toBeLessThanOrEqual(tokens);
      expect(await count(text)).toBeGreaterThanOrEqual(tokens - 1);
      expect(text === '' || text.startsWith('Blue')).toBe(true);
    }
    expect(() => fillTokens([{ text: ' ', tokens: 0 }], 5)).toThrow(RangeError);
  });
});

describe('needles', () => {
  const units = ['One fish. ', 'Two fish. ', 'Red fish. ', 'Blue fish. '].map((text) => ({ text, tokens: 2 }));
  const at = (...depths: number[]): string => placeNeedles(units, depths.map((depthPercent, i) => ({ text: `N${i}.`, depthPercent }))).pieces.join('');

  it('go to the end of a sentence, at the start and at the end too', () => {
    expect(at(0)).toBe('N0. One fish. Two fish. Red fish. Blue fish. ');
    expect(at(50)).toBe('One fish. Two fish. N0. Red fish. Blue fish. ');
    expect(at(74)).toBe('One fish. Two fish. N0. Red fish. Blue fish. ');
    expect(at(99)).toBe('One fish. Two fish. Red fish. N0. Blue fish. ');
    expect(at(100)).toBe('One fish. Two fish. Red fish. Blue fish. N0. ');
  });
  it('may be several, in any order, and at one place', () => {
    expect(at(100, 0, 50, 50)).toBe('N1. One fish. Two fish. N2. N3. Red fish. Blue fish. N0. ');
    expect(placeNeedles(units, [{ text: 'N', depthPercent: 60 }]).depthsPercent).toEqual([50]);
  });
  it('are parted from a sentence that does not end in white space', () => {
    expect(placeNeedles([{ text: 'One', tokens: 1 }], [{ text: 'N.', depthPercent: 100 }]).pieces.join('')).toBe('One N. ');
    expect(placeNeedles([], [{ text: 'N.', depthPercent: 40 }]).pieces.join('')).toBe('N. ');
  });
  it('are spread linearly', () => {
    expect(linearDepths(11)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(linearDepths(1)).toEqual([50]);
  });
});

describe('keys and values', () => {
  it('are all different, cities first', () => {
    const random = createRandom(5);
    const keys = drawKeys(['Oslo', 'Lima'], 500, random);
    expect(new Set(keys.slice(0, 2))).toEqual(new Set(['Oslo', 'Lima']));
    expect(new Set(keys).size).toBe(500);
    for (const key of keys.slice(2)) expect(key).toMatch(/^[a-z]+-[a-z]+$/u);
    // More than there are pairs.
    const many = drawWordKeys(60_000, random);
    expect(new Set(many).size).toBe(60_000);
    expect(drawNumber(random)).toMatch(/^[1-9]\d{6}$/u);
    expect(drawUuid(random)).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/u);
  });
  it('leave out what is used, and say so when nothing is left', () => {
    let next = 0;
    const draw = (): string => String(next++ % 4);
    expect(drawUnused(2, draw, createRandom(1), (value) => value === '1')).toEqual(['0', '2']);
    expect(() => drawUnused(4, draw, createRandom(1), (value) => value === '1')).toThrow(RangeError);
  });
});
