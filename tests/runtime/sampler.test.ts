import { describe, expect, it } from 'vitest';
import { tokenProbability } from '../../src/runtime/generate.js';
import { createRandom } from '../../src/random.js';
import { argmax, candidates, logSumExp, sample, type Sampling } from '../../src/runtime/sampler.js';

/** Logits of these probabilities, shifted: a softmax does not see the shift. */
const logitsOf = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

function probabilities(logits: Float32Array, sampling: Sampling): Record<number, number> {
  return Object.fromEntries(candidates(logits, sampling).map(({ id, probability }) => [id, Math.round(probability * 1e5) / 1e5]));
}

describe('candidates', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);

  it('are the softmax at temperature 1, most probable first', () => {
    expect(candidates(logits, { temperature: 1 }).map(({ id }) => id)).toEqual([1, 3, 2, 0]);
    expect(probabilities(logits, { temperature: 1 })).toEqual({ 0: 0.1, 1: 0.4, 2: 0.2, 3: 0.3 });
  });
  it('are squared and normalised at temperature 1/2', () => {
    // 1, 16, 4, 9 of 30
    expect(probabilities(logits, { temperature: 0.5 })).toEqual({ 0: 0.03333, 1: 0.53333, 2: 0.13333, 3: 0.3 });
  });
  it('are the k most probable; the lower ids of equals', () => {
    expect(probabilities(logits, { temperature: 1, topK: 2 })).toEqual({ 1: 0.57143, 3: 0.42857 });
    expect(probabilities(logitsOf(0.25, 0.25, 0.25, 0.25), { temperature: 1, topK: 2 })).toEqual({ 0: 0.5, 1: 0.5 });
    expect(probabilities(logits, { temperature: 1, topK: 99 })).toEqual(probabilities(logits, { temperature: 1 }));
  });
  it('are the fewest that hold top-p, never none', () => {
    expect(Object.keys(probabilities(logits, { temperature: 1, topP: 0.69 }))).toEqual(['1', '3']);
    expect(Object.keys(probabilities(logits, { temperature: 1, topP: 0.71 }))).toEqual(['1', '2', '3']);
    expect(probabilities(logits, { temperature: 1, topP: 0 })).toEqual({ 1: 1 });
  });
  it('are at least min-p of the most probable', () => {
    expect(Object.keys(probabilities(logits, { temperature: 1, minP: 0.51 }))).toEqual(['1', '3']);
    expect(Object.keys(probabilities(logits, { temperature: 1, minP: 0.49 }))).toEqual(['1', '2', '3']);
  });
  it('are filtered after the temperature: a hot one lets more through', () => {
    expect(Object.keys(probabilities(logits, { temperature: 2, minP: 0.51 }))).toEqual(['1', '2', '3']);
    expect(Object.keys(probabilities(logits, { temperature: 0.5, topP: 0.53 }))).toEqual(['1']);
    expect(Object.keys(probabilities(logits, { temperature: 1, topP: 0.53 }))).toEqual(['1', '3']);
  });
  it('apply top-k before top-p: its share is of what top-k left', () => {
    // After top-k 2: 4/7 and 3/7. 0.5 is less than 4/7, though more than 0.4.
    expect(probabilities(logits, { temperature: 1, topK: 2, topP: 0.5 })).toEqual({ 1: 1 });
    expect(Object.keys(probabilities(logits, { temperature: 1, topP: 0.5 }))).toEqual(['1', '3']);
  });
  it('leave out -Infinity and NaN', () => {
    expect(probabilities(Float32Array.of(-Infinity, 0, Number.NaN, 0), { temperature: 1 })).toEqual({ 1: 0.5, 3: 0.5 });
  });
});

describe('sample', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);

  it('walks the distribution in order of probability', () => {
    const drawn = [0, 0.39, 0.41, 0.69, 0.71, 0.89, 0.91, 1 - 2 ** -32].map((uniform) => sample(logits, { temperature: 1 }, uniform));
    expect(drawn).toEqual([1, 1, 3, 3, 2, 2, 0, 0]);
  });
  it('draws as often as the probabilities say', () => {
    const random = createRandom(42);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[sample(logits, { temperature: 1 }, random())]!++;
    for (const [id, p] of [0.1, 0.4, 0.2, 0.3].entries()) expect(counts[id]! / 20_000).toBeCloseTo(p, 1.7);
  });
  it('is greedy at temperature 0 and at top-k 1, the first of equals, whatever the number', () => {
    const tied = Float32Array.of(1, 5, 2, 5);
    for (const uniform of [0, 0.5, 0.999]) {
      expect(sample(tied, { temperature: 0 }, uniform)).toBe(1);
      expect(sample(tied, { temperature: 1, topK: 1 }, uniform)).toBe(1);
    }
    expect(argmax(Float32Array.of(Number.NaN, -3, Number.NaN, -2))).toBe(3);
  });
});

describe('logSumExp and tokenProbability', () => {
  it('survive large logits and masked ones', () => {
    expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 10);
    expect(logSumExp(Float32Array.of(-1000, -Infinity))).toBe(-1000);
    expect(tokenProbability(logitsOf(0.25, 0.75), 0)).toBeCloseTo(0.25, 6);
  });
});
