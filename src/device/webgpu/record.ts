/** Commands as dispatches: which kernel, in which variant, on how many workgroups. Sizes have been checked before. */
import { pageRange, seenBy } from '../checkCommands.js';
import type { AttentionCommand, Command, EmbedCommand, KvCache, MatMulCommand, NormRopeCommand, StoreKvCommand, View, WeightFormat } from '../device.js';
import { kvFormats } from '../kvLayout.js';
import { groupsOf, type Bound, type Dispatch, type GpuMemory } from './dispatch.js';
import { unit, type GpuWeight, type Shard } from './weights.js';

/** What recording needs of the device. */
export interface Recorder {
  memoryOf(view: View): Bound;
  weightOf(weight: MatMulCommand['parts'][number]['weight']): GpuWeight;
  /** Memory that holds until the next dispatch that is given some of the same purpose. */
  scratch(purpose: 'quantized activations' | 'attention partials' | 'attention state', bytes: number): GpuMemory;
  /** Bytes of workgroup memory. */
  readonly workgroupMemory: number;
  /** The driver computes on the processor. */
  readonly software: boolean;
}

export function record(command: Command, to: Recorder): Dispatch[] {
  switch (command.op) {
    case 'embed':
      return embed(command, to);
    case 'rmsNorm': {
      const { rows, width, eps } = command;
      const bind = bindings(to, { x: command.x, gain: command.gain, out: command.out });
      return perRow({ kernel: 'rms_norm', constants: {}, bind, params: { rows, width, eps } }, rows, width);
    }
    case 'addNorm': {
      const { rows, width, eps, next } = command;
      const bind = bindings(to, { x: command.x, branch: command.branch, gain: command.gain, ...(next && { next_gain: next.gain, next_out: next.out }) });
      return perRow({ kernel: 'add_norm', constants: { NEXT: next !== null }, bind, params: { rows, width, eps } }, rows, width);
    }
    case 'layerNorm': {
      const { rows, width, eps } = command;
      const bind = bindings(to, { x: command.x, gain: command.gain, bias: command.bias, out: command.out });
      return perRow({ kernel: 'layer_norm', constants: {}, bind, params: { rows, width, eps } }, rows, width);
    }
    case 'matMul':
      return matMul(command, to);
    case 'normRope':
      return normRope(command, to);
    case 'storeKv':
      return storeKv(command, to);
    case 'attention':
      return attention(command, to);
    case 'geGlu':
      return perElement({ kernel: 'ge_glu', constants: {}, bind: bindings(to, { gate: command.gate, up: command.up, out: command.out }), params: {} }, command.count);
    case 'gelu':
      return perElement({ kernel: 'gelu', constants: {}, bind: bindings(to, { x: command.x, out: command.out }), params: {} }, command.count);
    case 'geluErf':
      return perElement({ kernel: 'gelu_erf', constants: {}, bind: bindings(to, { x: command.x, out: command.out }), params: {} }, command.count);
    case 'unfold': {
      const { length, width, rows, taps, stride, pad } = command;
      const bind = bindings(to, { x: command.x, out: command.out });
      return perElement({ kernel: 'unfold', constants: {}, bind, params: { length, width, rows, taps, stride, pad } }, rows * taps * width);
    }
    case 'add':
      return perElement({ kernel: 'add', constants: {}, bind: bindings(to, { x: command.x, y: command.y }), params: {} }, command.count);
    case 'averagePool': {
      const { side, size, width } = command;
      const bind = bindings(to, { x: command.x, out: command.out });
      return perElement({ kernel: 'average_pool', constants: {}, bind, params: { side, size, width } }, (side / size) ** 2 * width);
    }
  }
}

type Task = Omit<Dispatch, 'groups' | 'work'>;

/** A workgroup per row. */
function perRow(task: Task, rows: number, width: number): Dispatch[] {
  return rows === 0 ? [] : [{ ...task, groups: groupsOf(rows), work: rows * width * 4 }];
}

/** A thread per element, 256 a workgroup. */
function perElement(task: Task, count: number): Dispatch[] {
  return count === 0 ? [] : [{ ...task, params: { ...task.params, count }, groups: groupsOf(Math.ceil(count / 256)), work: count * 4 }];
}

function bindings(to: Recorder, views: Readonly<Record<string, View>>): Record<string, Bound> {
  return Object.fromEntries(Object.entries(views).map(([name, view]) => [name, to.memoryOf(view)]));
}

/** The numbers of FORMAT in kernels/wgsl/weights.wgsl. */
const formats: readonly WeightFormat[] = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'];

function isQuantized({ format }: GpuWeight): boolean {
  return format === 'q8_0' || format === 'q4_0';
}

function whole(memory: GpuMemory): Bound {
  return { memory, offset: 0 };
}

function embed({ ids, weight, scale, out, rows }: EmbedCommand, to: Recorder): Dispatch[] {
  if (rows === 0) return [];
  const { shards, format, inputs, outputs, units } = to.weightOf(weight);
  return shards.map(({ memory, first, rows: count, scales }) => ({
    kernel: 'embed',
    constants: { FORMAT: formats.indexOf(format) },
    bind: { ...bindings(to, { ids, out }), weight: whole(memory) },
    params: { rows, inputs, outputs, first, count, units, scales, scale },
    groups: groupsOf(rows),
    work: rows * inputs,
  }));
}

/** One matrix, or shard of one, of a product. */
interface Piece {
  readonly weight: GpuWeight;
  readonly shard: Shard;
  readonly out: View;
  readonly bias?: View;
}

/** Of mat_vec.wgsl and mat_mul.wgsl: outputs of a workgroup, and rows. */
const vecTile = 8;
const mulTile = 64;

/** With more rows, mat_mul.wgsl. */
const mostVecRows = 4;

function matMul({ x, rows, parts }: MatMulCommand, to: Recorder): Dispatch[] {
  if (rows === 0) return [];
  const pieces = parts.flatMap(({ weight, out, bias }): Piece[] => {
    const known = to.weightOf(weight);
    return known.shards.map((shard) => ({ weight: known, shard, out, ...(bias && { bias }) }));
  });
  const dispatches: Dispatch[] = [];
  let quantized: { readonly memory: GpuMemory; readonly scales: number } | undefined;
  if (pieces.some(({ weight }) => isQuantized(weight))) {
    const { inputs, units } = pieces[0]!.weight;
    // Two words of 16 bytes a unit, then the scales.
    const scales = rows * units * 2;
    const memory = to.scratch('quantized activations', scales * 16 + rows * units * 4);
    quantized = { memory, scales };
    dispatches.push({
      kernel: 'quantize_rows',
      constants: {},
      bind: { x: to.memoryOf(x), quants: whole(memory) },
      params: { rows, inputs, scales },
      groups: groupsOf(Math.ceil((rows * units) / 64)),
      work: rows * inputs,
    });
  }
  for (let from = 0; from < pieces.length; ) {
    // Neighbours of the same format: a dispatch. Of many rows each matrix keeps the GPU busy by itself.
    const most = rows <= mostVecRows ? 3 : 1;
    let count = 1;
    while (count < most && from + count < pieces.length && pieces[from + count]!.weight.format === pieces[from]!.weight.format) count++;
    dispatches.push(product(pieces.slice(from, from + count), x, rows, quantized, to));
    from += count;
  }
  return dispatches;
}

function product(pieces: readonly Piece[], x: View, rows: number, quantized: { readonly memory: GpuMemory; readonly scales: number } | undefined, to: Recorder): Dispatch {
  const { format, inputs, units } = pieces[0]!.weight;
  const blocks = isQuantized(pieces[0]!.weight);
  const few = rows <= mostVecRows;
  const bind: Record<string, Bound> = { x: blocks ? whole(quantized!.memory) : to.memoryOf(x) };
  const params: Record<string, number> = { rows, zero: 0, inputs, units, x_scales: quantized?.scales ?? 0 };
  let tiles = 0;
  for (let i = 0; i < 3; i++) {
    const piece = pieces[i];
    tiles += piece ? Math.ceil(piece.shard.rows / (few ? vecTile : mulTile)) : 0;
    params[`tiles${i}`] = tiles;
    params[`outputs${i}`] = piece?.shard.rows ?? 0;
    params[`width${i}`] = piece?.weight.outputs ?? 0;
    params[`scales${i}`] = piece?.shard.scales ?? 0;
    if (!piece) continue;
    const { shard, out, bias } = piece;
    bind[`weight${i}`] = whole(shard.memory);
    bind[`out${i}`] = to.memoryOf({ ...out, offset: out.offset + shard.first * 4 });
    if (bias) bind[`bias${i}`] = to.memoryOf({ ...bias, offset: bias.offset + shard.first * 4 });
  }
  const constants = { FORMAT: formats.indexOf(format), COMPACT: to.software, PARTS: pieces.length === 1 ? 1 : 3, BIAS: pieces.some(({ bias }) => bias), ...(blocks ? {} : { TAIL: inputs % unit !== 0 }) };
  const outputs = pieces.reduce((sum, { shard }) => sum + shard.rows, 0);
  return {
    kernel: few ? (blocks ? 'mat_vec_q8' : 'mat_vec') : blocks ? 'mat_mul_q8' : 'mat_mul',
    constants: few ? { ...constants, ROWS: rows === 1 ? 1 : mostVecRows } : constants,
    bind,
    params,
    groups: few ? groupsOf(tiles) : [tiles, Math.ceil(rows / mulTile), 1],
    work: rows * inputs * outputs,
  };
}

function normRope({ q, rows, heads, headDim, gain, eps, rope }: NormRopeCommand, to: Recorder): Dispatch[] {
  if (rows === 0) return [];
  return [
    {
      kernel: 'norm_rope',
      constants: { HEAD_DIM: headDim, ROPE: rope !== null },
      bind: bindings(to, { q, gain, ...(rope && { rope }) }),
      params: { rows, heads, eps },
      groups: groupsOf(rows * heads),
      work: rows * heads * headDim * 4,
    },
  ];
}

function kvConstants({ format, headDim }: KvCache): { HEAD_DIM: number; KV_FORMAT: number } {
  return { HEAD_DIM: headDim, KV_FORMAT: kvFormats.indexOf(format) };
}

/** A page, and its buffers. */
function pageBuffers({ pages }: KvCache, page: number, to: Recorder): { k_page: Bound; v_page: Bound } {
  const { k, v } = pages[page]!;
  return { k_page: to.memoryOf({ buffer: k, offset: 0 }), v_page: to.memoryOf({ buffer: v, offset: 0 }) };
}

function storeKv({ k, v, rows, start, gain, eps, rope, cache }: StoreKvCommand, to: Recorder): Dispatch[] {
  const { ring, pageSlots, kvHeads, headDim } = cache;
  const dispatches: Dispatch[] = [];
  for (let row = 0; row < rows; ) {
    const slot = (start + row) % pageSlots;
    const count = ring ? rows : Math.min(rows - row, pageSlots - slot);
    const page = ring ? 0 : Math.floor((start + row) / pageSlots);
    dispatches.push({
      kernel: 'store_kv',
      constants: { ...kvConstants(cache), NORM: gain !== null, ROPE: rope !== null },
      bind: { ...bindings(to, { k, v, ...(gain && { gain }), ...(rope && { rope }) }), ...pageBuffers(cache, page, to) },
      params: { rows: count, first: row, slot, slots: pageSlots, kv_heads: kvHeads, eps },
      groups: groupsOf(count * kvHeads),
      work: count * kvHeads * headDim * 8,
    });
    row += count;
  }
  return dispatches;
}

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

function attention(command: AttentionCommand, to: Recorder): Dispatch[] {
  const { q, out, rows, start, heads, window, scale, logScale, blocks = [], cache } = command;
  const { ring, pageSlots, kvHeads, headDim } = cache;
  if (rows === 0) return [];
  if (headDim > mostHeadDim) throw new RangeError(`attention: heads of ${headDim} elements; this device takes at most ${mostHeadDim}`);
  const queries = (rows * heads) / kvHeads;
  const seen = seenBy(command);
  const pages = seenPages(cache, seen.from, seen.to);
  const partitions = pages.reduce((sum, page) => sum + page.partitions, 0);
  // The queries take most of the workgroup memory; 24 KiB are for heads of 256.
  const tileRows = queries <= 4 ? 4 : queries <= 8 || to.workgroupMemory < 24 * 1024 || headDim > 256 ? 8 : 16;
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
    return {
      kernel: 'attention',
      constants: { ...kvConstants(cache), COMPACT: to.software, ROWS: tileRows, SPLIT: split, LOG: logScale !== null },
      bind: { ...bindings(to, { q, ...(logScale && { log_scale: logScale }) }), ...pageBuffers(cache, page.page, to), out: partials, state },
      params,
      groups: [tiles, kvHeads, split ? page.partitions : 1],
      extras,
      work: 2 * rows * heads * headDim * Math.min(page.partitions * partition, window === 0 ? Infinity : window + rows),
    };
  });
  if (!split) return dispatches;
  dispatches.push({
    kernel: 'attention_merge',
    constants: { HEAD_DIM: headDim },
    bind: { partials, state, out: to.memoryOf(out) },
    params: { rows: rows * heads, partitions },
    groups: groupsOf(rows * heads),
    work: rows * heads * partitions * headDim,
  });
  return dispatches;
}
