/** Rotary tables at positions where float32 angles, and even the reduction of float64 ones, go wrong. */
import { expect, it } from 'vitest';
import { createRope, fillRope } from '../../src/runtime/rope.js';

/** Fractional bits of the fixed-point numbers here. */
const bits = 160n;
/** 2 pi to 60 digits. */
const twoPi = (6283185307179586476925286766559005768394338798750211641949889n << bits) / 10n ** 60n;

/** position * frequency mod 2 pi, exactly up to the last rounding. */
function reducedAngle(position: number, frequency: number): number {
  // A double is a whole number times a power of two: 2^-1074 is the smallest.
  let exponent = 0n;
  let whole = frequency;
  while (!Number.isInteger(whole)) {
    whole *= 2;
    exponent++;
  }
  const angle = (BigInt(whole) * BigInt(position) << bits) >> exponent;
  return Number((angle % twoPi) >> (bits - 60n)) / 2 ** 60;
}

it.each([
  [64, 1e4, 1],
  [256, 1e6, 8],
])('is right to float32 at any position: heads of %i, base %f, factor %i', (headDim, base, factor) => {
  const rope = createRope(headDim, base, factor);
  const half = headDim / 2;
  const table = new Float32Array(3 * headDim);
  for (const start of [0, 62, 63, 8191, 131_072, 1_048_575, 10_000_000, 16_777_213]) {
    fillRope(rope, start, 3, table);
    for (let r = 0; r < 3; r++) {
      for (let j = 0; j < half; j++) {
        const angle = reducedAngle(start + r, rope.frequencies[j]!);
        // Half a unit in the last place of a number below 1, and what float64 loses of an angle of 1e7.
        expect(Math.abs(table[r * headDim + j]! - Math.cos(angle)), `cosine ${j} of ${start + r}`).toBeLessThan(3.4e-8);
        expect(Math.abs(table[r * headDim + half + j]! - Math.sin(angle)), `sine ${j} of ${start + r}`).toBeLessThan(3.4e-8);
      }
    }
  }
});

it('gives a position the same bits wherever the rows begin', () => {
  const rope = createRope(32, 1e4);
  const whole = new Float32Array(200 * 32);
  fillRope(rope, 9_999_950, 200, whole);
  for (const [from, rows] of [[0, 1], [13, 64], [63, 2], [199, 1]] as const) {
    const part = new Float32Array(rows * 32);
    fillRope(rope, 9_999_950 + from, rows, part);
    expect(part).toEqual(whole.subarray(from * 32, (from + rows) * 32));
  }
});
