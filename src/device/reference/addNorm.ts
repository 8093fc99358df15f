import type { AddNormCommand } from '../device.js';
import { inverseRms } from './arithmetic.js';
import { floats } from './memory.js';

/** x[r] += rmsNorm(branch[r]; gain); then next.out[r] = rmsNorm(x[r]; next.gain), of the x that was stored. */
export function* addNorm({ x, branch, gain, next, rows, width, eps }: AddNormCommand): Generator<void> {
  const residual = floats(x, rows * width);
  const b = floats(branch, rows * width);
  const g = floats(gain, width);
  const nextGain = next && floats(next.gain, width);
  const nextOut = next && floats(next.out, rows * width);
  for (let r = 0; r < rows; r++) {
    const from = r * width;
    const factor = inverseRms(b, from, width, eps);
    for (let i = 0; i < width; i++) residual[from + i]! += b[from + i]! * factor * g[i]!;
    if (nextGain && nextOut) {
      const nextFactor = inverseRms(residual, from, width, eps);
      for (let i = 0; i < width; i++) nextOut[from + i] = residual[from + i]! * nextFactor * nextGain[i]!;
    }
    yield;
  }
}
