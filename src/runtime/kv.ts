/**
 * Key-value caches. A local layer keeps a ring of the window and the chunk being computed; a global layer keeps every
 * position, in pages allocated as the context grows.
 */
import type { Device, DeviceBuffer, KvCache } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';

/** Positions per submit, unless told otherwise. */
export const defaultChunk = 512;

/** Positions per submit of a context: no more than it can hold, or than a run of known length needs. */
export function chunkSize(wanted: number, maxPositions: number, positions = maxPositions): number {
  return Math.max(1, Math.min(wanted, maxPositions, positions));
}

/** Positions per page of a global layer. */
export const pageSlots = 1024;

/** Slots of a local layer's ring: a chunk's first query still sees window - 1 positions before the chunk. */
export function ringSlots(window: number, maxChunk: number): number {
  return Math.ceil((window - 1 + maxChunk) / 32) * 32;
}

export interface KvBytes {
  readonly total: number;
  /** All local layers. */
  readonly local: number;
  /** All global layers. */
  readonly global: number;
  readonly layers: readonly number[];
}

/** Bytes of K and V (f32) that a context of `tokens` positions holds, fed at most `maxChunk` at a time. */
export function kvBytes(
  config: Pick<GemmaConfig, 'layers' | 'window' | 'kvHeads' | 'headDim'>,
  tokens: number,
  maxChunk: number,
): KvBytes {
  const slotBytes = 2 * config.kvHeads * config.headDim * Float32Array.BYTES_PER_ELEMENT;
  const ring = ringSlots(config.window, maxChunk) * slotBytes;
  const pages = Math.ceil(tokens / pageSlots) * pageSlots * slotBytes;
  const layers = config.layers.map(({ kind }) => (kind === 'local' ? ring : pages));
  const sum = (kind: 'local' | 'global'): number =>
    layers.reduce((bytes, of, l) => (config.layers[l]!.kind === kind ? bytes + of : bytes), 0);
  return { total: sum('local') + sum('global'), local: sum('local'), global: sum('global'), layers };
}

interface Page {
  readonly k: DeviceBuffer;
  readonly v: DeviceBuffer;
}

/** The caches of all layers of one context. */
export class KvCaches {
  /** One per layer; `pages` of global layers grows. */
  readonly layers: readonly (KvCache & { readonly pages: Page[] })[];
  readonly #device: Device;

  /** Throws LodestoneError(outOfMemory) when the rings can't be had. */
  constructor(device: Device, config: GemmaConfig, maxChunk: number) {
    this.#device = device;
    const { kvHeads, headDim } = config;
    this.layers = config.layers.map(({ kind }) => ({
      ring: kind === 'local',
      pageSlots: kind === 'local' ? ringSlots(config.window, maxChunk) : pageSlots,
      kvHeads,
      headDim,
      pages: [],
    }));
    try {
      for (const [l, cache] of this.layers.entries()) if (cache.ring) this.#addPage(l);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Bytes allocated now. */
  get bytes(): number {
    return this.layers.reduce((sum, { pages }) => pages.reduce((s, { k, v }) => s + k.bytes + v.bytes, sum), 0);
  }

  /** Makes room for positions 0 .. tokens - 1. Throws LodestoneError(outOfMemory); what was there stays. */
  grow(tokens: number): void {
    for (const [l, cache] of this.layers.entries()) {
      if (cache.ring) continue;
      while (cache.pages.length * cache.pageSlots < tokens) this.#addPage(l);
    }
  }

  close(): void {
    for (const { pages } of this.layers) {
      for (const { k, v } of pages.splice(0)) {
        this.#device.destroyBuffer(k);
        this.#device.destroyBuffer(v);
      }
    }
  }

  #addPage(l: number): void {
    const { pages, pageSlots, kvHeads, headDim } = this.layers[l]!;
    const bytes = pageSlots * kvHeads * headDim * Float32Array.BYTES_PER_ELEMENT;
    const k = this.#device.createBuffer(bytes, `keys of layer ${l}, page ${pages.length}`);
    try {
      pages.push({ k, v: this.#device.createBuffer(bytes, `values of layer ${l}, page ${pages.length}`) });
    } catch (error) {
      this.#device.destroyBuffer(k);
      throw error;
    }
  }
}
