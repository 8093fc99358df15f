import type { GeluErfCommand } from '../device.js';
import { floats } from './memory.js';

/** out = x/2 (1 + erf(x / sqrt 2)). */
export function* geluErf({ x, out, count }: GeluErfCommand): Generator<void> {
  const z = floats(x, count);
  const y = floats(out, count);
  for (let i = 0; i < count; i++) {
    // 1 + erf(-a) = erfc(a), which keeps its precision where the sum would cancel.
    y[i] = 0.5 * z[i]! * erfc(-z[i]! / Math.SQRT2);
    if (i % 4096 === 0) yield;
  }
}

/** 1 - erf(x), in float64: by the series of erf near 0, by the continued fraction of erfc away from it (DLMF 7.6.2, 7.9.4). */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (!(x <= 27)) return Number.isNaN(x) ? x : 0;
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = x;
  for (let n = 80; n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
