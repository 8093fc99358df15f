import type { EmbedCommand } from '../device.js';
import { valueAt } from '../../weights/blocks.js';
import { floats, words } from './memory.js';
import { asReferenceWeight } from './weight.js';

/** out[r] = scale * W[ids[r]]. */
export function* embed({ ids, weight, scale, out, rows }: EmbedCommand): Generator<void> {
  const { matrix, inputs, outputs, label } = asReferenceWeight(weight);
  const id = words(ids, rows);
  const y = floats(out, rows * inputs);
  for (let r = 0; r < rows; r++) {
    if (id[r]! >= outputs) throw new RangeError(`token ${id[r]} is outside ${label} (${outputs} rows)`);
    const from = id[r]! * inputs;
    if ('values' in matrix) {
      for (let i = 0; i < inputs; i++) y[r * inputs + i] = matrix.values[from + i]! * scale;
    } else {
      for (let i = 0; i < inputs; i++) y[r * inputs + i] = valueAt(matrix.blocks, from + i) * scale;
    }
    yield;
  }
}
