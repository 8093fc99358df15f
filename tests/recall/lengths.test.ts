/** Lengths that are asked for, in tokens or in seconds. */
import { describe, expect, it } from 'vitest';
import { checkLengths, countedAlike, fittingLengths, lengthList } from '../../src/recall/lengths.js';

const text = { name: 'text' };
const long = { name: 'long', least: 4096 };
const film = { name: 'film', unit: 'seconds', least: 10 } as const;
const model = { id: 'm', context: 8192 };

it('a list is numbers of any size', () => {
  expect(lengthList('10,4K,1M')).toEqual([10, 4096, 1_048_576]);
  for (const bad of ['', '0', '1,,2', '4G', '-1', '1.5']) expect(() => lengthList(bad), bad).toThrow(/4096,32K,1M/u);
});

it('they are tokens, and seconds only where nothing counts tokens', () => {
  expect(countedAlike([text, film, long])).toEqual([text, long]);
  expect(countedAlike([film])).toEqual([film]);
});

describe('checkLengths', () => {
  it('says which suite has no room', () => {
    expect(() => checkLengths([text], [256, 255], model)).toThrow('--lengths has 255, but the suite text needs at least 256 tokens');
    expect(() => checkLengths([text, long], [256], model)).toThrow('--lengths has 256, but the suite long needs at least 4,096 tokens');
    expect(() => checkLengths([film], [9], model)).toThrow(expect.objectContaining({ exitCode: 2, message: '--lengths has 9, but the suite film needs at least 10 seconds' }) as Error);
  });
  it('holds tokens to the context, and no seconds', () => {
    expect(() => checkLengths([text], [8193], model)).toThrow(expect.objectContaining({ exitCode: 4, message: '--lengths has 8193 tokens, but m holds 8192' }) as Error);
    expect(() => checkLengths([film], [10, 36_000], model)).not.toThrow();
    expect(() => checkLengths([text, long], [4096, 8192], model)).not.toThrow();
  });
});

it('of a suite\'s own lengths, those that fit', () => {
  expect(fittingLengths(text, [128, 256, 8192, 16_384], 8192)).toEqual([256, 8192]);
  expect(fittingLengths(long, [1024, 4096], 8192)).toEqual([4096]);
  expect(fittingLengths(film, [5, 60, 36_000], 8192)).toEqual([5, 60, 36_000]);
});
