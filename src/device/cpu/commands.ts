/**
 * Commands as numbers: one flat array for the addon (kernels/cpu/decode.cc reads it in the same order), so that few
 * objects cross the boundary. Every size is checked here, so that a mistake in a graph is an error and not a crash.
 */
import type { Command, DeviceBuffer, KvCache, Span, View, Weight } from '../device.js';
import { kvFits, kvFormats, kvPageBytes } from '../kvLayout.js';

const opcodes: Record<Command['op'], number> = {
  embed: 0,
  rmsNorm: 1,
  addNorm: 2,
  matMul: 3,
  normRope: 4,
  storeKv: 5,
  attention: 6,
  geGlu: 7,
  layerNorm: 8,
  gelu: 9,
  add: 10,
  averagePool: 11,
  geluErf: 12,
  unfold: 13,
};

/** What the encoder asks of the device: whether a buffer or weight is one of its own and alive. */
export interface Ownership {
  ownsBuffer(buffer: DeviceBuffer): boolean;
  ownsWeight(weight: Weight): boolean;
}

class Encoder {
  readonly numbers: number[] = [];
  private op = '';

  constructor(private readonly owner: Ownership) {}

  command(command: Command): void {
    this.op = command.op;
    this.numbers.push(opcodes[command.op]);
    switch (command.op) {
      case 'embed': {
        const { rows, weight } = command;
        this.count('rows', rows);
        this.view('ids', command.ids, rows);
        this.weight(weight);
        this.numbers.push(command.scale);
        this.view('out', command.out, rows * weight.inputs);
        this.numbers.push(rows);
        return;
      }
      case 'rmsNorm': {
        const { rows, width } = command;
        this.count('rows', rows);
        this.size('width', width);
        this.view('x', command.x, rows * width);
        this.view('gain', command.gain, width);
        this.view('out', command.out, rows * width);
        this.numbers.push(rows, width, command.eps);
        return;
      }
      case 'addNorm': {
        const { rows, width, next } = command;
        this.count('rows', rows);
        this.size('width', width);
        this.view('x', command.x, rows * width);
        this.view('branch', command.branch, rows * width);
        this.view('gain', command.gain, width);
        this.optional('next.gain', next && next.gain, width);
        this.optional('next.out', next && next.out, rows * width);
        this.numbers.push(rows, width, command.eps);
        return;
      }
      case 'matMul': {
        const { rows, parts } = command;
        const inputs = parts[0]?.weight.inputs ?? 0;
        this.count('rows', rows);
        this.view('x', command.x, rows * inputs);
        this.numbers.push(rows, parts.length);
        for (const { weight, out, bias } of parts) {
          if (weight.inputs !== inputs) this.refuse(`weights of ${inputs} and ${weight.inputs} inputs share one x`);
          this.weight(weight);
          this.view('out', out, rows * weight.outputs);
          this.optional('bias', bias ?? null, weight.outputs);
          if (rows > 0 && overlaps(command.x, rows * inputs, out, rows * weight.outputs)) this.refuse('out overlaps x');
        }
        return;
      }
      case 'normRope': {
        const { rows, heads, headDim } = command;
        this.count('rows', rows);
        this.size('heads', heads);
        this.headDim(headDim, command.rope);
        this.view('q', command.q, rows * heads * headDim);
        this.numbers.push(rows, heads, headDim);
        this.view('gain', command.gain, headDim);
        this.numbers.push(command.eps);
        this.optional('rope', command.rope, rows * headDim);
        return;
      }
      case 'storeKv': {
        const { rows, start, cache } = command;
        const floats = rows * cache.kvHeads * cache.headDim;
        this.count('rows', rows);
        this.count('start', start);
        this.headDim(cache.headDim, command.rope);
        if (cache.ring && rows > cache.pageSlots) this.refuse(`${rows} rows do not fit a ring of ${cache.pageSlots} slots`);
        this.view('k', command.k, floats);
        this.view('v', command.v, floats);
        this.numbers.push(rows, start);
        if (!command.gain && command.rope) this.refuse('keys that are not normalised are not rotated either');
        this.optional('gain', command.gain, cache.headDim);
        this.numbers.push(command.eps);
        this.optional('rope', command.rope, rows * cache.headDim);
        this.cache(cache, start, start + rows);
        return;
      }
      case 'attention': {
        const { rows, start, heads, window, blocks = [], cache } = command;
        const floats = rows * heads * cache.headDim;
        this.count('rows', rows);
        this.count('start', start);
        this.count('window', window);
        this.size('heads', heads);
        if (heads % cache.kvHeads !== 0) this.refuse(`${heads} query heads do not share ${cache.kvHeads} KV heads evenly`);
        this.blocks(blocks);
        const end = blocks.reduce((most, { from, to }) => (from < start + rows && to > start ? Math.max(most, to) : most), start + rows);
        const seen = window === 0 ? end : Math.min(end, window - 1 + end - start);
        if (cache.ring && rows > 0 && seen > cache.pageSlots) {
          this.refuse(`queries that see ${seen} positions need a ring of as many slots, not ${cache.pageSlots}`);
        }
        this.view('q', command.q, floats);
        this.view('out', command.out, floats);
        if (rows > 0 && overlaps(command.q, floats, command.out, floats)) this.refuse('out overlaps q');
        this.numbers.push(rows, start, heads, window, command.scale);
        this.optional('logScale', command.logScale, heads);
        this.numbers.push(blocks.length, ...blocks.flatMap(({ from, to }) => [from, to]));
        this.cache(cache, window === 0 ? 0 : Math.max(0, start - window + 1), end);
        return;
      }
      case 'geGlu': {
        const { count } = command;
        this.count('count', count);
        this.view('gate', command.gate, count);
        this.view('up', command.up, count);
        this.view('out', command.out, count);
        this.numbers.push(count);
        return;
      }
      case 'layerNorm': {
        const { rows, width } = command;
        this.count('rows', rows);
        this.size('width', width);
        this.view('x', command.x, rows * width);
        this.view('gain', command.gain, width);
        this.view('bias', command.bias, width);
        this.view('out', command.out, rows * width);
        this.numbers.push(rows, width, command.eps);
        return;
      }
      case 'gelu':
      case 'geluErf': {
        const { count } = command;
        this.count('count', count);
        this.view('x', command.x, count);
        this.view('out', command.out, count);
        this.numbers.push(count);
        return;
      }
      case 'unfold': {
        const { length, width, rows, taps, stride, pad } = command;
        this.count('length', length);
        this.size('width', width);
        this.count('rows', rows);
        this.size('taps', taps);
        this.size('stride', stride);
        this.count('pad', pad);
        this.view('x', command.x, length * width);
        this.view('out', command.out, rows * taps * width);
        if (rows > 0 && overlaps(command.x, length * width, command.out, rows * taps * width)) this.refuse('out overlaps x');
        this.numbers.push(length, width, rows, taps, stride, pad);
        return;
      }
      case 'add': {
        const { count } = command;
        this.count('count', count);
        this.view('x', command.x, count);
        this.view('y', command.y, count);
        this.numbers.push(count);
        return;
      }
      case 'averagePool': {
        const { side, size, width } = command;
        this.size('side', side);
        this.size('size', size);
        this.size('width', width);
        if (side % size !== 0) this.refuse(`a side of ${side} cells is not cut evenly into squares of ${size}`);
        const cells = [side ** 2, (side / size) ** 2] as const;
        this.view('x', command.x, cells[0] * width);
        this.view('out', command.out, cells[1] * width);
        if (overlaps(command.x, cells[0] * width, command.out, cells[1] * width)) this.refuse('out overlaps x');
        this.numbers.push(side, size, width);
        return;
      }
    }
  }

  /** Ascending, none empty, none overlapping another. */
  private blocks(blocks: readonly Span[]): void {
    let end = 0;
    for (const { from, to } of blocks) {
      this.count('a block begins at', from);
      this.count('a block ends at', to);
      if (from < end || to <= from) this.refuse(`the block ${from} to ${to} is empty, or overlaps the one before`);
      end = to;
    }
  }

  /** A view of at least `elements` 4-byte elements. */
  private view(name: string, view: View, elements: number): void {
    const { buffer, offset } = view;
    if (!this.owner.ownsBuffer(buffer)) this.refuse(`${name} lies in "${buffer.label}", which is destroyed or of another device`);
    if (!Number.isInteger(offset) || offset < 0 || offset % 4 !== 0) this.refuse(`${name} has the offset ${offset}`);
    if (offset + elements * 4 > buffer.bytes) {
      this.refuse(`${name} needs bytes ${offset} to ${offset + elements * 4} of "${buffer.label}", which has ${buffer.bytes}`);
    }
    this.numbers.push(buffer.id, offset);
  }

  private optional(name: string, view: View | null, elements: number): void {
    if (view) this.view(name, view, elements);
    else this.numbers.push(-1, 0);
  }

  private weight(weight: Weight): void {
    if (!this.owner.ownsWeight(weight)) this.refuse(`the weight "${weight.label}" is not of this device`);
    this.numbers.push(weight.id);
  }

  /** A cache, with those of its pages that hold positions from .. end - 1: a long context has many more. */
  private cache(cache: KvCache, from: number, end: number): void {
    this.size('pageSlots', cache.pageSlots);
    this.size('kvHeads', cache.kvHeads);
    this.size('headDim', cache.headDim);
    const pages = cache.ring ? 1 : Math.ceil(end / cache.pageSlots);
    if (cache.pages.length < pages || (cache.ring && cache.pages.length !== 1)) {
      this.refuse(`${end} positions need ${pages} pages of ${cache.pageSlots}; the cache has ${cache.pages.length}`);
    }
    const format = kvFormats.indexOf(cache.format);
    if (format < 0) this.refuse(`a cache can't be stored as ${String(cache.format)}`);
    if (!kvFits(cache.format, cache.headDim)) this.refuse(`heads of ${cache.headDim} elements can't be stored as ${cache.format}`);
    const first = cache.ring ? 0 : Math.min(pages, Math.floor(from / cache.pageSlots));
    this.numbers.push(cache.ring ? 1 : 0, cache.pageSlots, cache.kvHeads, cache.headDim, format, first, pages - first);
    const bytes = kvPageBytes(cache);
    for (let i = first; i < pages; i++) {
      const { k, v } = cache.pages[i]!;
      for (const buffer of [k, v]) {
        if (!this.owner.ownsBuffer(buffer)) this.refuse(`the page "${buffer.label}" is destroyed or of another device`);
        if (buffer.bytes < bytes) this.refuse(`a page needs ${bytes} bytes; "${buffer.label}" has ${buffer.bytes}`);
      }
      this.numbers.push(k.id, v.id);
    }
  }

  /** A size: a positive integer. */
  private size(name: string, value: number): void {
    if (!Number.isSafeInteger(value) || value <= 0) this.refuse(`${name} is ${value}`);
  }

  /** A number of things, or a position: an integer from 0 on. */
  private count(name: string, value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) this.refuse(`${name} is ${value}`);
  }

  private headDim(headDim: number, rope: View | null): void {
    this.size('headDim', headDim);
    if (rope && headDim % 2 !== 0) this.refuse(`a head of ${headDim} elements can't be rotated in pairs`);
  }

  private refuse(why: string): never {
    throw new RangeError(`${this.op}: ${why}`);
  }
}

function overlaps(a: View, aElements: number, b: View, bElements: number): boolean {
  return a.buffer.id === b.buffer.id && a.offset < b.offset + bElements * 4 && b.offset < a.offset + aElements * 4;
}

/** Throws a RangeError that names the command and what is wrong with it. */
export function encodeCommands(commands: readonly Command[], owner: Ownership): Float64Array {
  const encoder = new Encoder(owner);
  for (const command of commands) encoder.command(command);
  return Float64Array.from(encoder.numbers);
}
