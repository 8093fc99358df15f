import { describe, expect, it } from 'vitest';
import { createRandom, drawDistinct, pick, randomBelow, seedOf } from '../src/random.js';

describe('createRandom', () => {
  it('repeats itself for a seed, and only for that', () => {
    const ten = (seed: number): number[] => Array.from({ length: 10 }, createRandom(seed));
    expect(ten(7)).toEqual(ten(7));
    expect(ten(8)).not.toEqual(ten(7));
    for (const value of [...ten(0), ...ten(-1), ...ten(2 ** 32 - 1)]) {
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
    }
  });
  it('is the SplitMix32 that `--seed` has always meant', () => {
    const random = createRandom(42);
    expect([random(), random(), random()].map((value) => Math.floor(value * 2 ** 32))).toEqual([551_831_576, 144_025_891, 322_543_647]);
  });
  it('is even', () => {
    const draws = Array.from({ length: 20_000 }, createRandom(7));
    expect(draws.reduce((sum, value) => sum + value, 0) / draws.length).toBeCloseTo(0.5, 2);
  });
});

describe('drawing', () => {
  it('takes seeds apart by all their parts', () => {
    expect(seedOf('needle', 1024)).toBe(seedOf('needle', 1024));
    expect(new Set([seedOf('needle', 1024), seedOf('needle', 1025), seedOf('needle1', 24), seedOf(1024, 'needle')]).size).toBe(4);
    // FNV-1a's published value for "a".
    expect(seedOf('a')).toBe(0xe40c292c);
  });
  it('keeps to the list, and draws nothing twice', () => {
    const random = createRandom(3);
    const list = Array.from({ length: 50 }, (_, i) => i);
    expect(drawDistinct(list, 50, random).toSorted((a, b) => a - b)).toEqual(list);
    expect(new Set(drawDistinct(list, 20, random)).size).toBe(20);
    expect(() => drawDistinct(list, 51, random)).toThrow(RangeError);
    for (let i = 0; i < 100; i++) expect(list).toContain(pick(list, random));
    expect(randomBelow(1, random)).toBe(0);
  });
});
