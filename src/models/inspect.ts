/** `lodestone models inspect`: what a model is, from its headers; the weights are read only to be hashed. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KvFormat } from '../device/device.js';
import { kvFits, kvFormats } from '../device/kvLayout.js';
import { LodestoneError } from '../errors.js';
import type { GemmaConfig } from '../gemma/config.js';
import { visionTensors } from '../gemma/vision-weights.js';
import type { GemmaPlaces } from '../gemma/weights.js';
import { defaultChunk, defaultKv, kvBytes } from '../runtime/kv.js';
import { isGguf, openModelHeaders, type ModelHeaders } from '../runtime/model.js';
import { sha256OfFiles } from '../weights/hash.js';
import type { Checkpoint, TensorEntry } from '../weights/safetensors.js';
import { elements, parameterCount, storedQuantization } from './describe.js';
import type { ModelPlace } from './resolve.js';

/** Lengths for which KV memory is told, tokens. */
export const kvLengths = [1024, 32_768, 131_072] as const;

export interface Inspection {
  readonly schema: 'lodestone.model/1';
  readonly name: string;
  readonly id: string;
  readonly store: ModelPlace['store'];
  readonly path: string;
  readonly format: 'safetensors' | 'gguf';
  readonly parameters: number;
  readonly quantization: string;
  /** Tokens. */
  readonly context: number;
  readonly architecture: {
    readonly layers: number;
    /** One letter a layer: L local, G global. */
    readonly pattern: string;
    readonly window: number;
    readonly hidden_size: number;
    readonly intermediate_size: number;
    readonly heads: number;
    readonly kv_heads: number;
    readonly head_dim: number;
    readonly vocabulary: number;
    readonly attention_scale: number;
    readonly rope: { readonly local_base: number; readonly global_base: number | null; readonly global_factor: number | null };
    readonly tied_head: boolean;
  };
  /** Format of each kind of tensor in the file; several where layers differ. */
  readonly tensors: readonly { readonly kind: string; readonly count: number; readonly formats: Readonly<Record<string, number>>; readonly bytes: number }[];
  /** Bytes of keys and values by the format of the global layers (local layers in f32, as `ask` keeps them). */
  readonly kv: readonly { readonly format: KvFormat; readonly bytes: Readonly<Record<string, number>> }[];
  /** The vision part: in the model's own files, or a file beside it (mmproj). null: this model reads text only. */
  readonly vision: InspectedVision | null;
  readonly prompt: GemmaConfig['prompt'];
  /** As the files give it. Prompts are built by our own code, which follows Gemma's. */
  readonly chat_template: string | null;
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256?: string }[];
}

export type InspectedVision =
  | {
      readonly path: string;
      readonly parameters: number;
      readonly bytes: number;
      /** Elements by their format. */
      readonly formats: Readonly<Record<string, number>>;
      readonly layers: number;
      /** Of an image's sides, in pixels. */
      readonly image_size: number;
      readonly tokens_per_image: number;
    }
  /** It can't be used, and why. */
  | { readonly path: string; readonly problem: string };

export interface HashOptions {
  /** Also the sha256 of each file, which reads all of it. */
  readonly hash?: boolean;
  readonly signal?: AbortSignal;
}

/** Of a Gemma 3. Errors: LodestoneError(badModel), one line; the signal's reason. */
export async function inspectModel(place: ModelPlace, options: HashOptions = {}): Promise<Inspection> {
  const headers = await openModelHeaders(place.path, { id: place.id });
  const vision = await inspectVision(place, headers);
  const { id, config, checkpoint, places } = headers;
  const gguf = isGguf(checkpoint);
  return {
    schema: 'lodestone.model/1',
    name: place.name,
    id,
    store: place.store,
    path: place.path,
    format: gguf ? 'gguf' : 'safetensors',
    parameters: parameterCount(checkpoint),
    quantization: storedQuantization(checkpoint),
    context: config.maxPositions,
    architecture: architectureOf(config, places),
    tensors: tensorKinds(checkpoint, places),
    kv: kvFormats.filter((format) => kvFits(format, config.headDim)).map((format) => ({
      format,
      bytes: Object.fromEntries(kvLengths.map((tokens) => [String(tokens), kvBytes(config, tokens, defaultChunk, { ...defaultKv, global: format }).total])),
    })),
    vision,
    prompt: config.prompt,
    chat_template: gguf ? templateOf(checkpoint.metadata.get('tokenizer.chat_template')) : await folderTemplate(place.path),
    files: await describeFiles([
      ...(gguf ? [] : ['config.json', 'generation_config.json', 'tokenizer.json'].map((name) => join(place.path, name))),
      ...checkpoint.files,
      ...(place.mmproj === undefined ? [] : [place.mmproj]),
    ], options),
  };
}

/** A vision part beside the model that is broken takes nothing from the text model. */
async function inspectVision({ path, mmproj }: ModelPlace, own: ModelHeaders): Promise<InspectedVision | null> {
  if (mmproj === undefined) return describeVision(path, own);
  try {
    return describeVision(mmproj, await openModelHeaders(path, { mmproj }));
  } catch (error) {
    if (!(error instanceof LodestoneError)) throw error;
    return { path: mmproj, problem: error.message };
  }
}

function describeVision(path: string, { config: { vision }, visionPlaces }: ModelHeaders): InspectedVision | null {
  if (!vision || !visionPlaces) return null;
  const entries = visionTensors(visionPlaces);
  const formats = formatsOf(entries);
  return {
    path,
    parameters: Object.values(formats).reduce((sum, count) => sum + count, 0),
    bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    formats,
    layers: vision.layers,
    image_size: vision.imageSize,
    tokens_per_image: vision.tokensPerImage,
  };
}

/** Elements by their format. */
export function formatsOf(entries: Iterable<TensorEntry>): Record<string, number> {
  const formats: Record<string, number> = {};
  for (const { dtype, shape } of entries) formats[dtype] = (formats[dtype] ?? 0) + elements(shape);
  return formats;
}

function architectureOf(config: GemmaConfig, { head }: GemmaPlaces): Inspection['architecture'] {
  return {
    layers: config.layers.length,
    pattern: config.layers.map(({ kind }) => (kind === 'local' ? 'L' : 'G')).join(''),
    window: config.window,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    heads: config.heads,
    kv_heads: config.kvHeads,
    head_dim: config.headDim,
    vocabulary: config.vocabSize,
    attention_scale: config.scale,
    rope: { local_base: config.ropeLocalBase, global_base: config.ropeGlobal?.base ?? null, global_factor: config.ropeGlobal?.factor ?? null },
    tied_head: head === null,
  };
}

/** The text model's tensors by what they are; the others of the file, a vision part's, together. */
function tensorKinds({ tensors }: Checkpoint, { embedding, head, layers, finalNorm }: GemmaPlaces): Inspection['tensors'] {
  const kinds = new Map<string, TensorEntry[]>([['embedding', [embedding.entry]]]);
  if (head) kinds.set('head', [head.entry]);
  for (const layer of layers) {
    for (const [part, place] of Object.entries(layer)) {
      if (place === null) continue;
      const kind = 'add' in place && part !== 'logScale' ? 'norms' : part;
      kinds.set(kind, [...(kinds.get(kind) ?? []), place.entry]);
    }
  }
  kinds.set('norms', [...(kinds.get('norms') ?? []), finalNorm.entry]);
  const used = new Set([...kinds.values()].flat().map(({ name }) => name));
  const rest = [...tensors.values()].filter(({ name }) => !used.has(name));
  if (rest.length > 0) kinds.set('others', rest);
  return [...kinds].map(([kind, entries]) => ({ kind, count: entries.length, formats: formatsOf(entries), bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0) }));
}

export function templateOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A file of its own, or a field of the tokenizer's config. */
export async function folderTemplate(dir: string): Promise<string | null> {
  const own = await readFile(join(dir, 'chat_template.jinja'), 'utf8').catch(() => null);
  if (own !== null) return own;
  const config = await readFile(join(dir, 'tokenizer_config.json'), 'utf8').then((text) => JSON.parse(text) as { chat_template?: unknown } | null).catch(() => null);
  return templateOf(config?.chat_template);
}

/** Those that are there. */
export async function describeFiles(paths: readonly string[], { hash, signal }: HashOptions): Promise<Inspection['files']> {
  const found: { path: string; bytes: number; sha256?: string }[] = [];
  for (const path of paths) {
    const info = await stat(path).catch(() => null);
    if (info === null) continue;
    found.push({ path, bytes: info.size, ...(hash === true ? { sha256: await sha256OfFiles([path], signal) } : {}) });
  }
  return found;
}
