import type { NormRopeCommand } from '../device.js';
import { normalizeAndRotate } from './arithmetic.js';
import { floats } from './memory.js';

/** QK-norm and rotary embedding of the queries, in place. */
export function* normRope({ q, rows, heads, headDim, gain, eps, rope }: NormRopeCommand): Generator<void> {
  const x = floats(q, rows * heads * headDim);
  const g = floats(gain, headDim);
  const table = rope && floats(rope, rows * headDim);
  for (let r = 0; r < rows; r++) {
    for (let h = 0; h < heads; h++) {
      normalizeAndRotate(x, (r * heads + h) * headDim, headDim, g, eps, table, r * headDim);
    }
    yield;
  }
}
