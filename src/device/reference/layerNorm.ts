import type { LayerNormCommand } from '../device.js';
import { floats } from './memory.js';

/** out[r] = (x[r] - mean) (variance + eps)^-1/2 gain + bias. */
export function* layerNorm({ x, gain, bias, out, rows, width, eps }: LayerNormCommand): Generator<void> {
  const input = floats(x, rows * width);
  const output = floats(out, rows * width);
  const g = floats(gain, width);
  const b = floats(bias, width);
  for (let r = 0; r < rows; r++) {
    const from = r * width;
    let sum = 0;
    for (let i = 0; i < width; i++) sum += input[from + i]!;
    const mean = sum / width;
    let squares = 0;
    for (let i = 0; i < width; i++) squares += (input[from + i]! - mean) ** 2;
    const factor = 1 / Math.sqrt(squares / width + eps);
    for (let i = 0; i < width; i++) output[from + i] = (input[from + i]! - mean) * factor * g[i]! + b[i]!;
    yield;
  }
}
