import type { StoreKvCommand } from '../device.js';
import { normalizeAndRotate } from './arithmetic.js';
import { kvPages, pageOf, slotOf } from './kvPages.js';
import { floats } from './memory.js';

/** QK-norm and rotary embedding of the keys; keys and values go into the cache, in its format. */
export function* storeKv({ k, v, rows, start, gain, eps, rope, cache }: StoreKvCommand): Generator<void> {
  const { kvHeads, headDim } = cache;
  const keys = floats(k, rows * kvHeads * headDim);
  const values = floats(v, rows * kvHeads * headDim);
  const g = gain && floats(gain, headDim);
  const table = rope && floats(rope, rows * headDim);
  const pages = kvPages(cache);
  if (!g && table) throw new RangeError('keys that are not normalised are not rotated either');
  for (let r = 0; r < rows; r++) {
    const page = pages[pageOf(cache, start + r)]!;
    for (let h = 0; h < kvHeads; h++) {
      const from = (r * kvHeads + h) * headDim;
      if (g) normalizeAndRotate(keys, from, headDim, g, eps, table, r * headDim);
      const slot = slotOf(cache, h, start + r);
      page.k.write(slot, keys.subarray(from, from + headDim));
      page.v.write(slot, values.subarray(from, from + headDim));
    }
    yield;
  }
}
