/** What a plan is said to take, and how long it is said to go on. */
import { describe, expect, it } from 'vitest';
import { costLine, secondsLeft } from '../../src/recall/cost.js';
import type { PlannedSuite } from '../../src/recall/trials.js';
import { planned, recordOf } from './stand-in.js';

const suite = (name: string, changes: Partial<PlannedSuite['suite']> = {}): PlannedSuite['suite'] => ({
  name, about: '', lengths: [], questions: 1, async *make() {}, ...changes,
});
const one = suite('one');
const eight = suite('eight', { together: () => 8 });
const film = suite('film', { unit: 'seconds' });
const asked = (name: string, length: number, count: number, seconds: number) => Array.from({ length: count }, () => recordOf({ suite: name, length, seconds }));

describe('costLine', () => {
  it('adds up documents, not questions', () => {
    expect(costLine([planned(one, [1000, 2000], 10)])).toBe('20 questions about documents of 30,000 tokens in all (what they begin alike with is read once)');
    expect(costLine([planned(eight, [1000], 20)])).toMatch(/^20 questions about documents of 3,000 tokens/u);
    const long = suite('long', { together: (length) => (length! > 1500 ? 5 : 1) });
    expect(costLine([planned(long, [1000, 2000], 10)])).toMatch(/documents of 14,000 tokens/u);
  });
  it('counts films by their time', () => {
    expect(costLine([planned(film, [60, 3600], 10)])).toBe('20 questions about films of 10.2 h in all');
    expect(costLine([planned(one, [1000], 1), planned(film, [60], 2)])).toBe('3 questions about documents of 1,000 tokens in all (what they begin alike with is read once) and films of 2.0 min in all');
  });
  it('has nothing to say of documents of the user', () => {
    expect(costLine([planned(suite('canary'), [null], 11)])).toBeNull();
  });
});

describe('secondsLeft', () => {
  const plan = [planned(one, [1000, 4000], 10), planned(eight, [4000], 16), planned(film, [60], 10)];
  it('knows nothing before the first answer', () => {
    expect(secondsLeft(plan, [])).toBeNull();
    expect(secondsLeft(plan, [recordOf({ suite: 'one', control: 'alone', length: 1000 })])).toBeNull();
  });
  it('goes by the longest length so far, and takes others to be as fast', () => {
    // 0.5 s a thousand tokens, at 1,000; then 0.25 at 4,000.
    expect(secondsLeft(plan, asked('one', 1000, 10, 0.5))).toBeCloseTo(0.5 * 48);
    expect(secondsLeft(plan, [...asked('one', 1000, 10, 0.5), ...asked('one', 4000, 5, 1)])).toBeCloseTo(0.25 * (20 + 8));
  });
  it('counts films once one was seen, at their own pace', () => {
    const read = [...asked('one', 1000, 10, 0.5), ...asked('one', 4000, 10, 1), ...asked('eight', 4000, 16, 1)];
    expect(secondsLeft(plan, read)).toBe(0);
    expect(secondsLeft(plan, [...read, ...asked('film', 60, 4, 3)])).toBeCloseTo(6 * 3);
  });
});
