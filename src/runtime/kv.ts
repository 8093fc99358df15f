/**
 * Key-value caches. A local layer keeps a ring of the window and the chunk being computed; a global layer keeps every
 * position, in pages allocated as the context grows.
 */
import type { Device, DeviceBuffer, KvCache, KvFormat } from '../device/device.js';
import { kvFits, kvPageBytes, kvPlanes, kvRowBytes } from '../device/kvLayout.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { GemmaConfig } from '../gemma/config.js';

/** Positions per submit, unless told otherwise. */
export const defaultChunk = 512;

/**
 * Positions per submit of a context: no more than it can hold, or than a run of known length needs; of an image model no
 * fewer than an image has, since the soft tokens of an image see each other.
 */
export function chunkSize(wanted: number, { maxPositions, vision }: Pick<GemmaConfig, 'maxPositions' | 'vision'>, positions = maxPositions): number {
  return Math.max(1, Math.min(Math.max(wanted, vision?.tokensPerImage ?? 1), maxPositions, positions));
}

/** How the caches of each kind of layer are stored. */
export interface KvFormats {
  readonly local: KvFormat;
  readonly global: KvFormat;
}

/**
 * Global layers take all the memory of a long context, and in f16 half of it (README has what it does to the logits). A
 * ring is small however long the context, so f32 costs little there, and what is rounded in a local layer passes through
 * all the layers above it.
 */
export const defaultKv: KvFormats = { local: 'f32', global: 'f16' };

/** Positions per page of a global layer, of a device with no other wish. */
export const pageSlots = 1024;

/** Positions per page of a global layer: as the device likes them, but no more than `positions` need. */
export function globalPageSlots({ kvPageSlots }: Pick<Device, 'kvPageSlots'>, positions: number): number {
  return Math.min(kvPageSlots, Math.ceil(positions / pageSlots) * pageSlots);
}

/** Positions from .. to - 1, and those that share pages of `pageSlots` with them. */
export function wholePages(from: number, to: number): { readonly from: number; readonly to: number } {
  return { from: Math.floor(from / pageSlots) * pageSlots, to: Math.ceil(to / pageSlots) * pageSlots };
}

/** Slots of a local layer's ring: a chunk's first query still sees window - 1 positions before the chunk. */
export function ringSlots(window: number, maxChunk: number): number {
  return Math.ceil((window - 1 + maxChunk) / 32) * 32;
}

/**
 * Slots of a page: of a ring, the ring itself. A window wider than the model's context shows no query more than the
 * context, so the ring is not larger, whatever the config says.
 */
export function kvPageSlots(kind: 'local' | 'global', { window, maxPositions }: Pick<GemmaConfig, 'window' | 'maxPositions'>, maxChunk: number, globalSlots = pageSlots): number {
  return kind === 'local' ? ringSlots(Math.min(window, maxPositions), maxChunk) : globalSlots;
}

export interface KvBytes {
  readonly total: number;
  /** All local layers. */
  readonly local: number;
  /** All global layers. */
  readonly global: number;
  readonly layers: readonly number[];
}

/** Bytes of K and V of one position in one layer. */
export function kvPositionBytes({ kvHeads, headDim }: Pick<GemmaConfig, 'kvHeads' | 'headDim'>, format: KvFormat): number {
  return 2 * kvHeads * kvRowBytes(format, headDim);
}

/** Bytes of K and V that a context of `tokens` positions holds, fed at most `maxChunk` at a time; pages as `globalPageSlots` says. */
export function kvBytes(
  config: Pick<GemmaConfig, 'layers' | 'window' | 'maxPositions' | 'kvHeads' | 'headDim'>,
  tokens: number,
  maxChunk: number,
  kv: KvFormats = defaultKv,
  globalSlots = pageSlots,
): KvBytes {
  const ring = kvPageSlots('local', config, maxChunk) * kvPositionBytes(config, kv.local);
  const pages = Math.ceil(tokens / globalSlots) * globalSlots * kvPositionBytes(config, kv.global);
  const layers = config.layers.map(({ kind }) => (kind === 'local' ? ring : pages));
  const sum = (kind: 'local' | 'global'): number =>
    layers.reduce((bytes, of, l) => (config.layers[l]!.kind === kind ? bytes + of : bytes), 0);
  return { total: sum('local') + sum('global'), local: sum('local'), global: sum('global'), layers };
}

/** The layers of one kind, together. */
export interface LayerKv {
  readonly layers: number;
  readonly format: KvFormat;
  /** Positions that each has room for. */
  readonly slots: number;
  /** Of all of them. */
  readonly bytes: number;
}

/** What of `bytes`, from `kvBytes` with the same formats, the layers of one kind take. */
export function layerKv(config: Pick<GemmaConfig, 'layers' | 'kvHeads' | 'headDim'>, kind: 'local' | 'global', bytes: KvBytes, kv: KvFormats): LayerKv {
  const layers = config.layers.filter((layer) => layer.kind === kind).length;
  const slots = layers === 0 ? 0 : bytes[kind] / (kvPositionBytes(config, kv[kind]) * layers);
  return { layers, format: kv[kind], bytes: bytes[kind], slots };
}

/** Errors: LodestoneError(usage) where the model's heads can't be stored so. */
export function checkKv({ headDim }: Pick<GemmaConfig, 'headDim'>, kv: KvFormats): void {
  for (const format of [kv.local, kv.global]) {
    if (kvFits(format, headDim)) continue;
    throw new LodestoneError(ExitCode.usage, `keys and values can't be stored as ${format}: it needs heads of a multiple of 32 elements, and this model's have ${headDim}`);
  }
}

/** K and V of positions from .. to - 1 of a layer, each [plane][kvHead][position] rows (kvLayout.ts). */
export interface KvRows {
  readonly from: number;
  readonly to: number;
  readonly k: Uint8Array;
  readonly v: Uint8Array;
}

/** A page of a global layer in an open file, as `readRows` gives all its positions: K from byte `k` on, V from byte `v` on. */
export interface PageInFile {
  readonly file: number;
  /** Of K, and of V. */
  readonly bytes: number;
  readonly k: number;
  readonly v: number;
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

  /**
   * @param positions that will be stored, at most
   * Throws LodestoneError(outOfMemory) when the rings can't be had, and (usage) as `checkKv` does.
   */
  constructor(device: Device, config: GemmaConfig, maxChunk: number, kv: KvFormats, positions = config.maxPositions) {
    checkKv(config, kv);
    this.#device = device;
    const { kvHeads, headDim } = config;
    this.layers = config.layers.map(({ kind }) => ({
      format: kv[kind],
      ring: kind === 'local',
      pageSlots: kvPageSlots(kind, config, maxChunk, globalPageSlots(device, positions)),
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

  /** Positions from .. to - 1 of a layer. A ring holds the last ones that were stored, as many as it has slots. */
  async readRows(layer: number, from: number, to: number): Promise<KvRows> {
    const [k, v] = await Promise.all([this.#readPlanes(layer, 'k', from, to), this.#readPlanes(layer, 'v', from, to)]);
    return { from, to, k, v };
  }

  /** Puts rows that `readRows` gave into the same layer, of these caches or of others of this shape. The other slots stay as they are. */
  writeRows(layer: number, rows: KvRows): void {
    const cache = this.layers[layer]!;
    for (const { page, offset, at, bytes } of rowRuns(cache, rows.from, rows.to)) {
      const { k, v } = cache.pages[page]!;
      this.#device.write({ buffer: k, offset }, rows.k.subarray(at, at + bytes));
      this.#device.write({ buffer: v, offset }, rows.v.subarray(at, at + bytes));
    }
  }

  /**
   * Takes the `pageSlots` positions from `from` on, where a page begins, from a file instead of `writeRows`: nothing is copied.
   * False, and nothing has changed, where this device can't do that, or has pages of another size.
   */
  mapPage(layer: number, from: number, { file, bytes, k, v }: PageInFile): boolean {
    const cache = this.layers[layer]!;
    const { ring, pages } = cache;
    const page = from / pageSlots;
    if (ring || cache.pageSlots !== pageSlots || bytes !== kvPageBytes(cache) || page > pages.length) return false;
    const map = (offset: number, what: string): DeviceBuffer | null =>
      this.#device.mapBuffer?.(file, offset, bytes, `${what} of layer ${layer}, page ${page}`) ?? null;
    const keys = map(k, 'keys');
    const values = keys && map(v, 'values');
    if (keys && !values) this.#device.destroyBuffer(keys);
    if (!keys || !values) return false;
    const before = pages[page];
    pages[page] = { k: keys, v: values };
    if (before) this.#destroyPage(before);
    return true;
  }

  /** Bytes of K, or of V, that `readRows` gives of one position. */
  rowBytes(layer: number): number {
    const { format, kvHeads, headDim } = this.layers[layer]!;
    return kvHeads * kvRowBytes(format, headDim);
  }

  close(): void {
    for (const { pages } of this.layers) {
      for (const page of pages.splice(0)) this.#destroyPage(page);
    }
  }

  #destroyPage({ k, v }: Page): void {
    this.#device.destroyBuffer(k);
    this.#device.destroyBuffer(v);
  }

  async #readPlanes(layer: number, what: 'k' | 'v', from: number, to: number): Promise<Uint8Array> {
    const cache = this.layers[layer]!;
    const content = new Uint8Array((to - from) * this.rowBytes(layer));
    const read = async ({ page, offset, at, bytes }: RowRun): Promise<void> =>
      content.set(await this.#device.read({ buffer: cache.pages[page]![what], offset }, bytes), at);
    await Promise.all([...rowRuns(cache, from, to)].map(read));
    return content;
  }

  #addPage(l: number): void {
    const cache = this.layers[l]!;
    const { pages } = cache;
    const bytes = kvPageBytes(cache);
    const k = this.#device.createBuffer(bytes, `keys of layer ${l}, page ${pages.length}`);
    try {
      pages.push({ k, v: this.#device.createBuffer(bytes, `values of layer ${l}, page ${pages.length}`) });
    } catch (error) {
      this.#device.destroyBuffer(k);
      throw error;
    }
  }
}

/** Neighbouring slots: where they lie in a page, and in `KvRows`; in bytes. */
interface RowRun {
  readonly page: number;
  readonly offset: number;
  readonly at: number;
  readonly bytes: number;
}

/** Where positions from .. to - 1 lie. */
function* rowRuns(cache: KvCache, from: number, to: number): Generator<RowRun> {
  const { ring, pageSlots: slots, kvHeads } = cache;
  let at = 0;
  for (const { offset, rowBytes } of kvPlanes(cache)) {
    for (let head = 0; head < kvHeads; head++) {
      for (let p = from; p < to; ) {
        const slot = p % slots;
        const count = Math.min(to - p, slots - slot);
        yield { page: ring ? 0 : Math.floor(p / slots), offset: offset + (head * slots + slot) * rowBytes, at, bytes: count * rowBytes };
        at += count * rowBytes;
        p += count;
      }
    }
  }
}
