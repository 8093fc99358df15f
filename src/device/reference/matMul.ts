import type { MatMulCommand } from '../device.js';
import { dot } from './arithmetic.js';
import { quantizeActivations, type Blocks } from '../../weights/blocks.js';
import { floats } from './memory.js';
import { asReferenceWeight } from './weight.js';

/** Quantised activations. */
type Row = ReturnType<typeof quantizeActivations>;

/** part.out[r] = part.weight * x[r] + part.bias for every part. Quantised weights meet activations quantised per row. */
export function* matMul({ x, rows, parts }: MatMulCommand): Generator<void> {
  let quantized: Row[] | undefined;
  for (const part of parts) {
    const { matrix, inputs, outputs } = asReferenceWeight(part.weight);
    const input = floats(x, rows * inputs);
    const y = floats(part.out, rows * outputs);
    const bias = part.bias && floats(part.bias, outputs);
    if ('blocks' in matrix) {
      quantized ??= Array.from({ length: rows }, (_, r) =>
        quantizeActivations(input.subarray(r * inputs, (r + 1) * inputs)),
      );
    }
    for (let o = 0; o < outputs; o++) {
      for (let r = 0; r < rows; r++) {
        const product =
          'values' in matrix
            ? dot(matrix.values, o * inputs, input, r * inputs, inputs)
            : blockDot(matrix.blocks, o * inputs, quantized![r]!, inputs);
        y[r * outputs + o] = bias ? product + bias[o]! : product;
      }
      yield;
    }
  }
}

/**
 * A weight row times an activation row: integers summed exactly per scale, times the float32 product of scales; the
 * weights' min takes off its float32 product with the activations' scale, times their sum.
 */
function blockDot(weight: Blocks, from: number, row: Row, n: number): number {
  const { per, min } = weight;
  let sum = 0;
  for (let at = 0; at < n; at += per) {
    let integers = 0;
    for (let j = at; j < at + per; j++) integers += weight.q[from + j]! * row.q[j]!;
    sum += integers * Math.fround(weight.d[(from + at) / per]! * row.d[at >> 5]!);
  }
  if (!min) return sum;
  for (let block = 0; block < n / 32; block++) {
    let total = 0;
    for (let j = block * 32; j < block * 32 + 32; j++) total += row.q[j]!;
    sum -= total * Math.fround(min[from / 32 + block]! * row.d[block]!);
  }
  return sum;
}
