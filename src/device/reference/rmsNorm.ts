import type { RmsNormCommand } from '../device.js';
import { inverseRms } from './arithmetic.js';
import { floats } from './memory.js';

/** out[r] = x[r] (mean(x[r]^2) + eps)^-1/2 gain. */
export function* rmsNorm({ x, gain, out, rows, width, eps }: RmsNormCommand): Generator<void> {
  const input = floats(x, rows * width);
  const output = floats(out, rows * width);
  const g = floats(gain, width);
  for (let r = 0; r < rows; r++) {
    const from = r * width;
    const factor = inverseRms(input, from, width, eps);
    for (let i = 0; i < width; i++) output[from + i] = input[from + i]! * factor * g[i]!;
    yield;
  }
}
