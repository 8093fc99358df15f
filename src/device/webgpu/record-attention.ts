/** Attention as dispatches: a page of the cache each, and one that puts the partitions of keys together where they are shared out. */
import { pageRange, seenBy } from '../checkCommands.js';
import type { AttentionCommand, KvCache } from '../device.js';
import { kvRowBytes } from '../kvLayout.js';
import { groupsOf, type Dispatch } from './dispatch.js';
import { kvConstants, pageBuffers } from './record-store-kv.js';
import { bindings, quantizing, whole, type Quantized, type Recorder } from './recorder.js';

/** Keys whose softmax is summed by itself: of attention.wgsl. */
const partition = 512;

/** With fewer workgroups than this, each partition of the keys gets its own. */
const enoughGroups = 64;

/** The largest head that attention.wgsl's workgroups can share out. */
const mostHeadDim = 512;

/** The part of a page that queries see. */
interface SeenPage {
  readonly page: number;
  readonly from: number;
  /** Of the partitions in which they see something, counted in the page. */
  readonly first: number;
  readonly partitions: number;
}

function seenPages(cache: KvCache, from: number, to: number): SeenPage[] {
  const { ring, pageSlots } = cache;
  const pages = pageRange(cache, from, to);
  return Array.from({ length: pages.to - pages.from }, (_, i) => {
    const page = pages.from + i;
    const start = ring ? 0 : page * pageSlots;
    const end = ring ? to : Math.min(to, start + pageSlots);
    const first = Math.floor((Math.max(from, start) - start) / partition);
    return { page, from: start, first, partitions: Math.ceil((end - start) / partition) - first };
  });
}

/** @param into also write the result there, in int8; heads are whole units then */
export function attention(command: AttentionCommand, to: Recorder, into: Quantized | null): Dispatch[] {
  const { q, out, rows, start, heads, window, scale, logScale, blocks = [], cache } = command;
  const { ring, pageSlots, kvHeads, headDim, format } = cache;
  if (rows === 0) return [];
  if (headDim > mostHeadDim) throw new RangeError(`attention: heads of ${headDim} elements; this device takes at most ${mostHeadDim}`);
  const queries = (rows * heads) / kvHeads;
  const seen = seenBy(command);
  const pages = seenPages(cache, seen.from, seen.to);
  const partitions = pages.reduce((sum, page) => sum + page.partitions, 0);
  const half = to.half && format === 'f16';
  // The queries take most of the workgroup memory; this is for heads of 256.
  const enough = (half ? 16 : 24) * 1024;
  const tileRows = queries <= 4 ? 4 : queries <= 8 || to.workgroupMemory < enough || headDim > 256 ? 8 : 16;
  const tiles = Math.ceil(queries / tileRows);
  const split = partitions > 1 && tiles * kvHeads < enoughGroups;

  const state = whole(to.scratch('attention state', rows * heads * (split ? partitions : 1) * 8));
  const partials = split ? whole(to.scratch('attention partials', rows * heads * partitions * headDim * 4)) : to.memoryOf(out);
  const spans = blocks.filter((block) => block.from < start + rows && block.to > start).flatMap((block) => [block.from, block.to]);
  const logs = logScale ? Float32Array.from({ length: rows }, (_, r) => Math.log(start + r + 1)) : new Float32Array(0);
  const extras = Uint32Array.of(...spans, ...new Uint32Array(logs.buffer));
  let earlier = 0;
  const dispatches = pages.map((page, i): Dispatch => {
    const params = {
      rows,
      start,
      heads,
      kv_heads: kvHeads,
      window,
      scale,
      zero: 0,
      page_from: page.from,
      page_to: ring ? 0xffff_ffff : page.from + pageSlots,
      slots: pageSlots,
      first_page: i === 0 ? 1 : 0,
      last_page: i === pages.length - 1 ? 1 : 0,
      first_part: page.first,
      earlier,
      spans: spans.length / 2,
      spans_at: 0,
      logs_at: spans.length,
    };
    earlier += page.partitions;
    const more = quantizing(split || i < pages.length - 1 ? null : into);
    const keys = Math.min(page.partitions * partition, window === 0 ? Infinity : window + rows);
    return {
      kernel: 'attention',
      constants: { ...kvConstants(cache), COMPACT: to.software, ROWS: tileRows, SPLIT: split, LOG: logScale !== null, HALF: half, ...more.constants },
      bind: { ...bindings(to, { q, ...(logScale && { log_scale: logScale }) }), ...pageBuffers(cache, page.page, to), out: partials, state, ...more.bind },
      params: { ...params, ...more.params },
      groups: [tiles, kvHeads, split ? page.partitions : 1],
      extras,
      work: 2 * rows * heads * headDim * keys,
      bytes: tiles * kvHeads * keys * 2 * kvRowBytes(format, headDim) + rows * heads * headDim * 8,
    };
  });
  if (!split) return dispatches;
  const merged = quantizing(into);
  dispatches.push({
    kernel: 'attention_merge',
    constants: { HEAD_DIM: headDim, ...merged.constants },
    bind: { partials, state, out: to.memoryOf(out), ...merged.bind },
    params: { rows: rows * heads, partitions, ...merged.params },
    groups: groupsOf(rows * heads),
    work: rows * heads * partitions * headDim,
    bytes: rows * heads * (partitions + 1) * headDim * 4,
  });
  return dispatches;
}
