/** Every size of a command, checked before a kernel sees it: a mistake in a graph is an error, and no crash. */
import type { Command, DeviceBuffer, KvCache, Span, View, Weight } from './device.js';
import { kvFits, kvFormats, kvPageBytes } from './kvLayout.js';

/** Whether a buffer or weight is one of the device's own, and alive. */
export interface Ownership {
  ownsBuffer(buffer: DeviceBuffer): boolean;
  ownsWeight(weight: Weight): boolean;
}

/** Throws a RangeError that names the command and what is wrong with it. */
export function checkCommands(commands: readonly Command[], owner: Ownership): void {
  const checks = new Checks(owner);
  for (const command of commands) checks.command(command);
}

class Checks {
  private op = '';

  constructor(private readonly owner: Ownership) {}

  command(command: Command): void {
    this.op = command.op;
    switch (command.op) {
      case 'embed': {
        const { rows, weight } = command;
        this.count('rows', rows);
        this.view('ids', command.ids, rows);
        this.weight(weight);
        this.view('out', command.out, rows * weight.inputs);
        return;
      }
      case 'rmsNorm': {
        const { rows, width } = command;
        this.count('rows', rows);
        this.size('width', width);
        this.view('x', command.x, rows * width);
        this.view('gain', command.gain, width);
        this.view('out', command.out, rows * width);
        return;
      }
      case 'addNorm': {
        const { rows, width, next } = command;
        this.count('rows', rows);
        this.size('width', width);
        this.view('x', command.x, rows * width);
        this.view('branch', command.branch, rows * width);
        this.view('gain', command.gain, width);
        if (!next) return;
        this.view('next.gain', next.gain, width);
        this.view('next.out', next.out, rows * width);
        return;
      }
      case 'matMul': {
        const { rows, parts } = command;
        const inputs = parts[0]?.weight.inputs ?? 0;
        this.count('rows', rows);
        this.view('x', command.x, rows * inputs);
        for (const { weight, out, bias } of parts) {
          if (weight.inputs !== inputs) this.refuse(`weights of ${inputs} and ${weight.inputs} inputs share one x`);
          this.weight(weight);
          this.view('out', out, rows * weight.outputs);
          if (bias) this.view('bias', bias, weight.outputs);
          if (rows > 0 && overlaps(command.x, rows * inputs, out, rows * weight.outputs)) this.refuse('out overlaps x');
        }
        return;
      }
      case 'normRope': {
        const { rows, heads, headDim, rope } = command;
        this.count('rows', rows);
        this.size('heads', heads);
        this.headDim(headDim, rope);
        this.view('q', command.q, rows * heads * headDim);
        this.view('gain', command.gain, headDim);
        if (rope) this.view('rope', rope, rows * headDim);
        return;
      }
      case 'storeKv': {
        const { rows, start, gain, rope, cache } = command;
        const floats = rows * cache.kvHeads * cache.headDim;
        this.count('rows', rows);
        this.count('start', start);
        this.headDim(cache.headDim, rope);
        if (cache.ring && rows > cache.pageSlots) this.refuse(`${rows} rows do not fit a ring of ${cache.pageSlots} slots`);
        this.view('k', command.k, floats);
        this.view('v', command.v, floats);
        if (!gain && rope) this.refuse('keys that are not normalised are not rotated either');
        if (gain) this.view('gain', gain, cache.headDim);
        if (rope) this.view('rope', rope, rows * cache.headDim);
        this.cache(cache, start, start + rows);
        return;
      }
      case 'attention': {
        const { rows, start, heads, window, logScale, blocks = [], cache } = command;
        const floats = rows * heads * cache.headDim;
        this.count('rows', rows);
        this.count('start', start);
        this.count('window', window);
        this.size('heads', heads);
        if (heads % cache.kvHeads !== 0) this.refuse(`${heads} query heads do not share ${cache.kvHeads} KV heads evenly`);
        this.blocks(blocks);
        const { from, to } = seenBy(command);
        const seen = window === 0 ? to : Math.min(to, window - 1 + to - start);
        if (cache.ring && rows > 0 && seen > cache.pageSlots) {
          this.refuse(`queries that see ${seen} positions need a ring of as many slots, not ${cache.pageSlots}`);
        }
        this.view('q', command.q, floats);
        this.view('out', command.out, floats);
        if (rows > 0 && overlaps(command.q, floats, command.out, floats)) this.refuse('out overlaps q');
        if (logScale) this.view('logScale', logScale, heads);
        this.cache(cache, from, to);
        return;
      }
      case 'geGlu': {
        const { count } = command;
        this.count('count', count);
        this.view('gate', command.gate, count);
        this.view('up', command.up, count);
        this.view('out', command.out, count);
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
        return;
      }
      case 'gelu':
      case 'geluErf': {
        const { count } = command;
        this.count('count', count);
        this.view('x', command.x, count);
        this.view('out', command.out, count);
        return;
      }
      case 'add': {
        const { count } = command;
        this.count('count', count);
        this.view('x', command.x, count);
        this.view('y', command.y, count);
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
        return;
      }
      case 'sample': {
        const { count, step } = command;
        this.size('count', count);
        this.count('step', step);
        this.view('logits', command.logits, count);
        this.view('out', command.out, 2);
        if (overlaps(command.logits, count, command.out, 2)) this.refuse('out overlaps logits');
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
  }

  private weight(weight: Weight): void {
    if (!this.owner.ownsWeight(weight)) this.refuse(`the weight "${weight.label}" is not of this device`);
  }

  /** A cache, with those of its pages that hold positions from .. end - 1. */
  private cache(cache: KvCache, from: number, end: number): void {
    this.size('pageSlots', cache.pageSlots);
    this.size('kvHeads', cache.kvHeads);
    this.size('headDim', cache.headDim);
    const pages = pageRange(cache, from, end);
    if (cache.pages.length < pages.to || (cache.ring && cache.pages.length !== 1)) {
      this.refuse(`${end} positions need ${pages.to} pages of ${cache.pageSlots}; the cache has ${cache.pages.length}`);
    }
    if (!kvFormats.includes(cache.format)) this.refuse(`a cache can't be stored as ${String(cache.format)}`);
    if (!kvFits(cache.format, cache.headDim)) this.refuse(`heads of ${cache.headDim} elements can't be stored as ${cache.format}`);
    const bytes = kvPageBytes(cache);
    for (const { k, v } of cache.pages.slice(pages.from, pages.to)) {
      for (const buffer of [k, v]) {
        if (!this.owner.ownsBuffer(buffer)) this.refuse(`the page "${buffer.label}" is destroyed or of another device`);
        if (buffer.bytes < bytes) this.refuse(`a page needs ${bytes} bytes; "${buffer.label}" has ${buffer.bytes}`);
      }
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

/** The pages that hold positions from .. end - 1: a long context has many more. */
export function pageRange({ ring, pageSlots }: Pick<KvCache, 'ring' | 'pageSlots'>, from: number, end: number): Span {
  if (ring) return { from: 0, to: 1 };
  const to = Math.ceil(end / pageSlots);
  return { from: Math.min(to, Math.floor(from / pageSlots)), to };
}

/** The positions that the queries of an attention see, all together. */
export function seenBy({ rows, start, window, blocks = [] }: { readonly rows: number; readonly start: number; readonly window: number; readonly blocks?: readonly Span[] }): Span {
  const to = blocks.reduce((most, block) => (block.from < start + rows && block.to > start ? Math.max(most, block.to) : most), start + rows);
  return { from: window === 0 ? 0 : Math.max(0, start - window + 1), to };
}

function overlaps(a: View, aElements: number, b: View, bElements: number): boolean {
  return a.buffer.id === b.buffer.id && a.offset < b.offset + bElements * 4 && b.offset < a.offset + aElements * 4;
}
