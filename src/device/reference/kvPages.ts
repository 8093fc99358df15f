/** Pages of a cache: vectors of headDim elements, in and out of the format that they are stored in. */
import type { DeviceBuffer, KvCache } from '../device.js';
import { kvBlock, kvFits, kvPlanes } from '../kvLayout.js';
import { quantizeActivations } from '../../weights/blocks.js';
import { f16ToF32, f32ToF16 } from '../../weights/half.js';
import { floats, memoryOf } from './memory.js';

/** A page of keys, or of values. A slot is what `slotOf` says: a head's vector at a position. */
export interface KvPage {
  write(slot: number, vector: Float32Array): void;
  /** The vector begins at element `at` of `values`, which hold until the next read. */
  read(slot: number): KvVector;
}

export interface KvVector {
  readonly values: Float32Array;
  readonly at: number;
}

export function kvPages(cache: KvCache): { readonly k: KvPage; readonly v: KvPage }[] {
  if (!kvFits(cache.format, cache.headDim)) throw new RangeError(`heads of ${cache.headDim} elements can't be stored as ${cache.format}`);
  return cache.pages.map(({ k, v }) => ({ k: openPage(cache, k), v: openPage(cache, v) }));
}

export function pageOf(cache: KvCache, position: number): number {
  return cache.ring ? 0 : Math.floor(position / cache.pageSlots);
}

/** The number, inside its page, of a head's vector at a position. */
export function slotOf(cache: KvCache, head: number, position: number): number {
  return head * cache.pageSlots + (position % cache.pageSlots);
}

function openPage(cache: KvCache, buffer: DeviceBuffer): KvPage {
  switch (cache.format) {
    case 'f32':
      return f32Page(cache, buffer);
    case 'f16':
      return f16Page(cache, buffer);
    case 'q8_0':
      return q8Page(cache, buffer);
  }
}

function f32Page(cache: KvCache, buffer: DeviceBuffer): KvPage {
  const { headDim } = cache;
  const values = floats({ buffer, offset: 0 }, vectors(cache) * headDim);
  return {
    write: (slot, vector) => values.set(vector, slot * headDim),
    read: (slot) => ({ values, at: slot * headDim }),
  };
}

/** The largest finite f16. */
const mostF16 = 65504;

function f16Page(cache: KvCache, buffer: DeviceBuffer): KvPage {
  const { headDim } = cache;
  const halves = new Uint16Array(memoryOf({ buffer, offset: 0 }, vectors(cache) * headDim * 2), 0, vectors(cache) * headDim);
  const values = new Float32Array(headDim);
  const saturated = (x: number): number => (Number.isFinite(x) ? Math.min(mostF16, Math.max(-mostF16, x)) : x);
  return {
    write: (slot, vector) => {
      for (let i = 0; i < headDim; i++) halves[slot * headDim + i] = f32ToF16(saturated(vector[i]!));
    },
    read: (slot) => {
      for (let i = 0; i < headDim; i++) values[i] = f16ToF32(halves[slot * headDim + i]!);
      return { values, at: 0 };
    },
  };
}

function q8Page(cache: KvCache, buffer: DeviceBuffer): KvPage {
  const { headDim } = cache;
  const elements = vectors(cache) * headDim;
  const quants = new Int8Array(memoryOf({ buffer, offset: 0 }, elements), 0, elements);
  const scales = floats({ buffer, offset: kvPlanes(cache)[1]!.offset }, elements / kvBlock);
  const values = new Float32Array(headDim);
  return {
    write: (slot, vector) => {
      const { q, d } = quantizeActivations(vector);
      quants.set(q, slot * headDim);
      scales.set(d, (slot * headDim) / kvBlock);
    },
    read: (slot) => {
      const at = slot * headDim;
      for (let i = 0; i < headDim; i++) values[i] = quants[at + i]! * scales[Math.floor((at + i) / kvBlock)]!;
      return { values, at: 0 };
    },
  };
}

/** Vectors in a page of keys, or of values. */
function vectors({ pageSlots, kvHeads }: KvCache): number {
  return pageSlots * kvHeads;
}
