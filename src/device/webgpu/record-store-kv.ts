/** Keys and values into a cache as dispatches, a page each; with the queries of the same rows where that is one dispatch. */
import type { KvCache, NormRopeCommand, StoreKvCommand, View } from '../device.js';
import { kvFormats, kvRowBytes } from '../kvLayout.js';
import { groupsOf, type Bound, type Dispatch } from './dispatch.js';
import { bindings, type Recorder } from './recorder.js';

export function kvConstants({ format, headDim }: KvCache): { HEAD_DIM: number; KV_FORMAT: number } {
  return { HEAD_DIM: headDim, KV_FORMAT: kvFormats.indexOf(format) };
}

/** A page, and its buffers. */
export function pageBuffers({ pages }: KvCache, page: number, to: Recorder): { k_page: Bound; v_page: Bound } {
  const { k, v } = pages[page]!;
  return { k_page: to.memoryOf({ buffer: k, offset: 0 }), v_page: to.memoryOf({ buffer: v, offset: 0 }) };
}

/** @param queries normalised and rotated beside the keys; null comes back where that is not one dispatch with them */
export function storeKv({ k, v, rows, start, gain, eps, rope, cache }: StoreKvCommand, to: Recorder, queries: NormRopeCommand | null): Dispatch[] | null {
  const { ring, pageSlots, kvHeads, headDim, format } = cache;
  const onePage = rows > 0 && (ring || Math.floor(start / pageSlots) === Math.floor((start + rows - 1) / pageSlots));
  if (queries && !(onePage && gain && queries.rows === rows && queries.headDim === headDim && queries.eps === eps && sameView(queries.rope, rope))) return null;
  const queryHeads = queries?.heads ?? 0;
  const dispatches: Dispatch[] = [];
  for (let row = 0; row < rows; ) {
    const slot = (start + row) % pageSlots;
    const count = ring ? rows : Math.min(rows - row, pageSlots - slot);
    const page = ring ? 0 : Math.floor((start + row) / pageSlots);
    dispatches.push({
      kernel: 'store_kv',
      constants: { ...kvConstants(cache), NORM: gain !== null, ROPE: rope !== null, QUERIES: queries !== null },
      bind: {
        ...bindings(to, { k, v, ...(gain && { gain }), ...(rope && { rope }), ...(queries && { q: queries.q, q_gain: queries.gain }) }),
        ...pageBuffers(cache, page, to),
      },
      params: { rows: count, first: row, slot, slots: pageSlots, kv_heads: kvHeads, heads: queryHeads, eps },
      groups: groupsOf(count * (kvHeads + queryHeads)),
      work: count * (kvHeads * 2 + queryHeads) * headDim * 4,
      bytes: count * (kvHeads * 2 * (headDim * 4 + kvRowBytes(format, headDim)) + queryHeads * headDim * 8),
    });
    row += count;
  }
  return dispatches;
}

function sameView(a: View | null, b: View | null): boolean {
  return a?.buffer.id === b?.buffer.id && a?.offset === b?.offset;
}
