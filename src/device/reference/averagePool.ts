import type { AveragePoolCommand } from '../device.js';
import { floats } from './memory.js';

/** The mean of each square of size x size cells. */
export function* averagePool({ x, out, side, size, width }: AveragePoolCommand): Generator<void> {
  const input = floats(x, side * side * width);
  const smaller = side / size;
  const output = floats(out, smaller * smaller * width);
  const sum = new Float64Array(width);
  for (let cell = 0; cell < smaller * smaller; cell++) {
    const top = Math.floor(cell / smaller) * size;
    const left = (cell % smaller) * size;
    sum.fill(0);
    for (let row = top; row < top + size; row++) {
      for (let column = left; column < left + size; column++) {
        const from = (row * side + column) * width;
        for (let i = 0; i < width; i++) sum[i]! += input[from + i]!;
      }
    }
    for (let i = 0; i < width; i++) output[cell * width + i] = sum[i]! / (size * size);
    yield;
  }
}
