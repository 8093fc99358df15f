import { describe, expect, it } from 'vitest';
import { insertNeedle, isHit, linearDepths, magicNumberTrial } from '../../src/recall/niah.js';
import { seededRandom, wilson } from '../../src/recall/statistics.js';

describe('needles', () => {
  const text = 'One fish. Two fish. Red fish. Blue fish.';
  it('go to the end of a sentence, at the start and at the end too', () => {
    expect(insertNeedle(text, 'N.', 0)).toBe('N. One fish. Two fish. Red fish. Blue fish.');
    expect(insertNeedle(text, 'N.', 60)).toBe('One fish. Two fish. N. Red fish. Blue fish.');
    expect(insertNeedle(text, 'N.', 100)).toBe('One fish. Two fish. Red fish. Blue fish. N.');
  });
  it('are spread linearly', () => {
    expect(linearDepths(11)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(linearDepths(1)).toEqual([50]);
  });
  it('ask for a number of seven digits', () => {
    const trial = magicNumberTrial(text, 'Oslo', 50, seededRandom(1));
    expect(trial.expected).toMatch(/^[1-9]\d{6}$/u);
    expect(trial.document).toContain(`The special magic Oslo number is: ${trial.expected}`);
    expect(trial.question).toBe('What is the special magic Oslo number?');
  });
  it('are hit when the number stands in the response', () => {
    expect(isHit('It is 1234567.', '1234567')).toBe(true);
    expect(isHit('It is 123456', '1234567')).toBe(false);
    expect(isHit('the  Red\nDoor', 'red door')).toBe(true);
  });
});

describe('statistics', () => {
  it('gives the published Wilson intervals', () => {
    // R. G. Newcombe (1998), table I: 81/263 and 0/20, method 3.
    const a = wilson(81, 263);
    expect(a.low).toBeCloseTo(0.2553, 4);
    expect(a.high).toBeCloseTo(0.3662, 4);
    const b = wilson(0, 20);
    expect(b.low).toBe(0);
    expect(b.high).toBeCloseTo(0.1611, 4);
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
  });
  it('draws the same numbers from the same seed, evenly', () => {
    const one = seededRandom(7);
    const two = seededRandom(7);
    const draws = Array.from({ length: 20_000 }, one);
    expect(draws.slice(0, 50)).toEqual(Array.from({ length: 50 }, two));
    expect(draws.reduce((sum, x) => sum + x, 0) / draws.length).toBeCloseTo(0.5, 2);
    expect(Math.min(...draws)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...draws)).toBeLessThan(1);
  });
});
