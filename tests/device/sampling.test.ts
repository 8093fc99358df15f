import { describe, expect, it } from 'vitest';
import { argmax, cutoff, gumbel, logProbability, logSumExp, sample, streamOf, type Sampling } from '../../src/device/sampling.js';

/** Logits of these probabilities, shifted: a softmax does not see the shift. */
const logitsOf = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

/** Ids that may be drawn. */
function candidates(logits: Float32Array, sampling: Sampling): number[] {
  const least = cutoff(logits, sampling);
  return Array.from(logits.keys()).filter((id) => logits[id]! >= least);
}

describe('candidates', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);

  it('are all without filters', () => {
    expect(candidates(logits, { temperature: 1 })).toEqual([0, 1, 2, 3]);
  });
  it('are the k most probable, and their equals', () => {
    expect(candidates(logits, { temperature: 1, topK: 2 })).toEqual([1, 3]);
    expect(candidates(logitsOf(0.25, 0.1, 0.25, 0.25, 0.15), { temperature: 1, topK: 2 })).toEqual([0, 2, 3]);
    expect(candidates(logits, { temperature: 1, topK: 99 })).toEqual([0, 1, 2, 3]);
  });
  it('are the fewest that hold top-p, never none', () => {
    expect(candidates(logits, { temperature: 1, topP: 0.69 })).toEqual([1, 3]);
    expect(candidates(logits, { temperature: 1, topP: 0.71 })).toEqual([1, 2, 3]);
    expect(candidates(logits, { temperature: 1, topP: 0 })).toEqual([1]);
    const many = Float32Array.from({ length: 5000 }, (_, i) => -i / 100);
    // 1 - e^(-n / 100) reaches 0.9 at n = 230.3.
    expect(candidates(many, { temperature: 1, topP: 0.9 })).toHaveLength(231);
  });
  it('are at least min-p of the most probable', () => {
    expect(candidates(logits, { temperature: 1, minP: 0.51 })).toEqual([1, 3]);
    expect(candidates(logits, { temperature: 1, minP: 0.49 })).toEqual([1, 2, 3]);
  });
  it('are filtered after the temperature: a hot one lets more through', () => {
    expect(candidates(logits, { temperature: 2, minP: 0.51 })).toEqual([1, 2, 3]);
    expect(candidates(logits, { temperature: 0.5, topP: 0.53 })).toEqual([1]);
    expect(candidates(logits, { temperature: 1, topP: 0.53 })).toEqual([1, 3]);
  });
  it('apply top-k before top-p: its share is of what top-k left', () => {
    // After top-k 2: 4/7 and 3/7. 0.5 is less than 4/7, though more than 0.4.
    expect(candidates(logits, { temperature: 1, topK: 2, topP: 0.5 })).toEqual([1]);
    expect(candidates(logits, { temperature: 1, topP: 0.5 })).toEqual([1, 3]);
  });
  it('leave out -Infinity and NaN', () => {
    const masked = Float32Array.of(-Infinity, 0, Number.NaN, 0);
    const drawn = new Set(Array.from({ length: 50 }, (_, step) => sample(masked, { temperature: 9, topP: 0.9 }, step)));
    expect(drawn).toEqual(new Set([1, 3]));
  });
});

describe('sample', () => {
  const logits = logitsOf(0.1, 0.4, 0.2, 0.3);

  /** How often each id is drawn in so many steps. */
  function shares(sampling: Sampling, steps: number): number[] {
    const counts = [0, 0, 0, 0];
    for (let step = 0; step < steps; step++) counts[sample(logits, sampling, step)]!++;
    return counts.map((count) => count / steps);
  }

  it('draws as often as the probabilities say, at any temperature and with filters', () => {
    for (const [id, p] of [0.1, 0.4, 0.2, 0.3].entries()) expect(shares({ temperature: 1, seed: 42 }, 20_000)[id]).toBeCloseTo(p, 1.7);
    // 1, 16, 4, 9 of 30
    for (const [id, p] of [1 / 30, 16 / 30, 4 / 30, 9 / 30].entries()) expect(shares({ temperature: 0.5 }, 20_000)[id]).toBeCloseTo(p, 1.7);
    const two = shares({ temperature: 1, topK: 2, seed: 7 }, 20_000);
    expect([two[0], two[2]]).toEqual([0, 0]);
    expect(two[1]).toBeCloseTo(4 / 7, 1.7);
  });
  it('depends on seed and step alone', () => {
    const text = (seed: number): number[] => Array.from({ length: 40 }, (_, step) => sample(logits, { temperature: 3, seed }, step));
    expect(text(1)).toEqual(text(1));
    expect(text(2)).not.toEqual(text(1));
    expect(new Set(text(1)).size).toBe(4);
  });
  it('is greedy at temperature 0 and at top-k 1, the first of equals', () => {
    const tied = Float32Array.of(1, 5, 2, 5);
    for (const step of [0, 1, 999]) {
      expect(sample(tied, { temperature: 0 }, step)).toBe(1);
      expect(sample(tied, { temperature: 1, topK: 1 }, step)).toBe(1);
    }
    expect(argmax(Float32Array.of(Number.NaN, -3, Number.NaN, -2))).toBe(3);
  });
  it('throws where nothing may be drawn', () => {
    expect(() => sample(Float32Array.of(-Infinity, Number.NaN), { temperature: 1 }, 0)).toThrow('no token is allowed');
  });
});

describe('gumbel', () => {
  it('has the distribution of Gumbel: mean 0.5772, variance pi^2 / 6, finite at both ends', () => {
    const stream = streamOf(3, 1);
    const numbers = Array.from({ length: 50_000 }, (_, id) => gumbel(stream, id));
    const mean = numbers.reduce((sum, g) => sum + g, 0) / numbers.length;
    expect(mean).toBeCloseTo(0.5772, 1);
    expect(numbers.reduce((sum, g) => sum + (g - mean) ** 2, 0) / numbers.length).toBeCloseTo(Math.PI ** 2 / 6, 1);
    expect(numbers.every(Number.isFinite)).toBe(true);
  });
});

describe('logSumExp and logProbability', () => {
  it('survive large logits and masked ones', () => {
    expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 10);
    expect(logSumExp(Float32Array.of(-1000, -Infinity))).toBe(-1000);
    expect(Math.exp(logProbability(logitsOf(0.25, 0.75), 0))).toBeCloseTo(0.25, 6);
  });
});
