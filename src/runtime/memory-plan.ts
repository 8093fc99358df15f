/**
 * What a model and a context take in memory, computed from their shapes: nothing is loaded or allocated. What kernels take
 * for themselves while they run is not counted.
 */
import type { KvFormat } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';
import type { GemmaStorage } from '../gemma/weights.js';
import { activationBuffers, towerBuffers, type PlannedBuffer } from './activations.js';
import { checkKv, chunkSize, kvBytes, kvPageSlots, kvPositionBytes, layerKv, type KvFormats, type LayerKv } from './kv.js';

/** One layer pattern and window: `local` local layers to each global one (0: all are global). */
export interface PatternKv {
  readonly local: number;
  /** null where all layers are global. */
  readonly window: number | null;
  readonly bytes: number;
  /** Bytes of keys and values by bytes of weights. */
  readonly share_of_weights: number;
}

/** The model's own layers at one context length: as rings and full caches, and as full caches in every layer. */
export interface GrowthKv {
  readonly context: number;
  readonly bytes: number;
  readonly bytes_if_all_global: number;
}

/** What `lodestone plan --json` prints, schema lodestone.memory-plan/1. Bytes throughout. */
export interface MemoryPlan {
  readonly schema: 'lodestone.memory-plan/1';
  readonly model: { readonly id: string; readonly parameters: number; readonly quantization: string; readonly context: number };
  readonly context: number;
  /** Positions computed at a time. */
  readonly chunk: number;
  readonly weights: { readonly bytes: number };
  /** `local_ring_of_window_alone`: what the rings would take without the slots for the chunk being computed. */
  readonly kv: { readonly bytes: number; readonly local: LayerKv; readonly global: LayerKv; readonly local_ring_of_window_alone: number };
  /** Activations of one chunk. */
  readonly scratch: { readonly bytes: number };
  /** Of a model that sees, and only where images are read: the tower, and its activations, which are given back before the text is read. */
  readonly vision?: { readonly weight_bytes: number; readonly scratch_bytes: number };
  /** Of weights, caches and activations. */
  readonly largest_buffer: PlannedBuffer;
  /** The most that is held at a time, images among the input where the model sees. */
  readonly total_bytes: number;
  readonly machine: Machine;
  readonly fits: { readonly context: boolean; readonly memory: boolean };
  /** Every layer stored in one format, rings without slots for a chunk: the caches alone, as in the Gemma 3 report's figures 5 and 6. */
  readonly comparison: { readonly format: KvFormat; readonly patterns: readonly PatternKv[]; readonly growth: readonly GrowthKv[] };
  /** Expected time to read the whole context, where a rate was given; nothing is measured here. */
  readonly reading?: { readonly tokens_per_second: number; readonly source: 'given'; readonly seconds: number };
}

export interface Machine {
  /** That this process may use: of the machine, or of the container it runs in. */
  readonly memory_bytes: number;
  readonly available_bytes: number;
}

export interface MemoryRequest {
  readonly id: string;
  readonly config: GemmaConfig;
  readonly storage: GemmaStorage;
  /** Bytes of the vision tower's weights; left out where none is loaded. */
  readonly visionBytes?: number | undefined;
  /** Positions. */
  readonly context: number;
  /** Positions computed at a time, at most. */
  readonly chunk: number;
  readonly kv: KvFormats;
  readonly machine: Machine;
  /** Tokens per second of reading, if known. */
  readonly rate?: number;
}

/** Errors: LodestoneError(usage) as `checkKv`. */
export function planMemory({ id, config, storage, visionBytes, context, kv, machine, rate, ...request }: MemoryRequest): MemoryPlan {
  checkKv(config, kv);
  const chunk = chunkSize(request.chunk, config, context);
  const caches = kvBytes(config, context, chunk, kv);
  const layersOf = (kind: 'local' | 'global'): LayerKv => layerKv(config, kind, caches, kv);
  const buffers = Object.values(activationBuffers(config, chunk));
  const scratch = buffers.reduce((sum, { bytes }) => sum + bytes, 0);
  const tower = visionBytes !== undefined && config.vision ? Object.values(towerBuffers(config.vision, config.hiddenSize)) : [];
  const towerScratch = tower.reduce((sum, { bytes }) => sum + bytes, 0);
  const total = storage.bytes + (visionBytes ?? 0) + Math.max(caches.total + scratch, towerScratch);
  return {
    schema: 'lodestone.memory-plan/1',
    model: { id, parameters: storage.parameters, quantization: storage.quantization, context: config.maxPositions },
    context,
    chunk,
    weights: { bytes: storage.bytes },
    kv: { bytes: caches.total, local: layersOf('local'), global: layersOf('global'), local_ring_of_window_alone: kvBytes(config, context, 1, kv).local },
    scratch: { bytes: scratch },
    ...(visionBytes === undefined ? {} : { vision: { weight_bytes: visionBytes, scratch_bytes: towerScratch } }),
    largest_buffer: [...buffers, ...tower, ...pageBuffers(config, chunk, kv)].reduce((most, one) => (one.bytes > most.bytes ? one : most), storage.largest),
    total_bytes: total,
    machine,
    fits: { context: context <= config.maxPositions, memory: total <= machine.memory_bytes },
    comparison: { format: kv.global, patterns: comparePatterns(config, context, kv.global, storage.bytes), growth: growthOf(config, context, kv.global) },
    ...(rate === undefined ? {} : { reading: { tokens_per_second: rate, source: 'given', seconds: context / rate } }),
  };
}

/** Keys (or values) of one layer, one of each kind: a ring, and a page of a global layer. */
function pageBuffers(config: GemmaConfig, chunk: number, kv: KvFormats): PlannedBuffer[] {
  return (['local', 'global'] as const)
    .filter((kind) => config.layers.some((layer) => layer.kind === kind))
    .map((kind) => ({
      label: kind === 'local' ? "keys of one local layer's ring" : 'keys of one page of a global layer',
      bytes: (kvPageSlots(kind, config, chunk) * kvPositionBytes(config, kv[kind])) / 2,
    }));
}

type KvShape = Pick<GemmaConfig, 'kvHeads' | 'headDim'>;

/** Bytes of keys and values of these numbers of layers, every slot in use. */
function cacheBytes(shape: KvShape, local: number, global: number, window: number, tokens: number, format: KvFormat): number {
  return kvPositionBytes(shape, format) * (local * Math.min(window, tokens) + global * tokens);
}

/** Local layers to each global one: the report's figure 5 has global only, 1:1 and 3:1, its text 5:1 and 7:1 too. */
const ratios = [1, 3, 5, 7];
/** Figure 5's windows. */
const windows = [4096, 1024];

/**
 * The same number of layers in other patterns, in which layer i is global where (i + 1) mod (local + 1) is 0; patterns
 * longer than the model, which would leave it without a global layer, are left out.
 * @param weightBytes what the shares are of
 */
export function comparePatterns(config: Pick<GemmaConfig, 'layers' | 'window'> & KvShape, tokens: number, format: KvFormat, weightBytes: number): PatternKv[] {
  const count = config.layers.length;
  const row = (local: number, window: number | null): PatternKv => {
    const globals = Math.floor(count / (local + 1));
    const bytes = cacheBytes(config, count - globals, globals, window ?? tokens, tokens, format);
    return { local, window, bytes, share_of_weights: bytes / weightBytes };
  };
  const widths = [...new Set([...windows, config.window])].sort((a, b) => b - a);
  return [row(0, null), ...ratios.filter((local) => local < count).flatMap((local) => widths.map((window) => row(local, window)))];
}

/** At powers of two from 1,024 on, and at `tokens`. */
function growthOf(config: GemmaConfig, tokens: number, format: KvFormat): GrowthKv[] {
  const lengths: number[] = [];
  for (let length = 1024; length < tokens; length *= 2) lengths.push(length);
  const globals = config.layers.filter(({ kind }) => kind === 'global').length;
  const locals = config.layers.length - globals;
  return [...lengths, tokens].map((context) => ({
    context,
    bytes: cacheBytes(config, locals, globals, config.window, context, format),
    bytes_if_all_global: cacheBytes(config, 0, config.layers.length, config.window, context, format),
  }));
}
