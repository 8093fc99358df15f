import type { KvCache, StoreKvCommand } from '../device.js';
import { normalizeAndRotate } from './arithmetic.js';
import { floats } from './memory.js';

/** QK-norm and rotary embedding of the keys; keys and values go into the cache. */
export function* storeKv({ k, v, rows, start, gain, eps, rope, cache }: StoreKvCommand): Generator<void> {
  const { kvHeads, headDim } = cache;
  const keys = floats(k, rows * kvHeads * headDim);
  const values = floats(v, rows * kvHeads * headDim);
  const g = floats(gain, headDim);
  const table = rope && floats(rope, rows * headDim);
  const pages = cachePages(cache);
  for (let r = 0; r < rows; r++) {
    const page = pages[pageOf(cache, start + r)]!;
    for (let h = 0; h < kvHeads; h++) {
      const from = (r * kvHeads + h) * headDim;
      normalizeAndRotate(keys, from, headDim, g, eps, table, r * headDim);
      const to = slotOffset(cache, h, start + r);
      page.k.set(keys.subarray(from, from + headDim), to);
      page.v.set(values.subarray(from, from + headDim), to);
    }
    yield;
  }
}

export interface CachePage {
  readonly k: Float32Array;
  readonly v: Float32Array;
}

export function cachePages({ pages, pageSlots, kvHeads, headDim }: KvCache): CachePage[] {
  const count = pageSlots * kvHeads * headDim;
  return pages.map(({ k, v }) => ({
    k: floats({ buffer: k, offset: 0 }, count),
    v: floats({ buffer: v, offset: 0 }, count),
  }));
}

export function pageOf(cache: KvCache, position: number): number {
  return cache.ring ? 0 : Math.floor(position / cache.pageSlots);
}

/** Element offset, inside its page, of a head's vector at a position. */
export function slotOffset(cache: KvCache, head: number, position: number): number {
  return (head * cache.pageSlots + (position % cache.pageSlots)) * cache.headDim;
}
