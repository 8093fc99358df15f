import type { GeluErfCommand } from '../device.js';
import { erfc } from '../../erfc.js';
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
