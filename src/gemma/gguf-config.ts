/**
 * Metadata of a GGUF file -> the config of a Gemma 3 text model. What GGUF can't say is as llama.cpp has it: the factor of
 * the attention logits is headDim^-1/2, and (d / heads)^-1/2 for the 27B alone, which it knows by its 62 layers; the
 * factor of the embeddings is sqrt(d), unrounded, but for files that we made of models where it is rounded.
 * Two writers are known: llama.cpp's converter, and Ollama's, which has keys of its own and leaves the RoPE factor out.
 * Source: llama.cpp `src/models/gemma3.cpp` and `conversion/gemma.py`, Ollama `convert/convert_gemma3.go`.
 */
import { badFile } from '../weights/errors.js';
import { showValue, type Gguf, type GgufValue } from '../weights/gguf.js';
import { configLimits as limits, imageTokenId, roundToBf16, type GemmaConfig, type LayerConfig } from './config.js';

const architecture = 'gemma3';

/** The RoPE factor of the global layers of 4B, 12B and 27B. */
const imageModelRopeFactor = 8;

/** llama.cpp knows the 27B by this. */
const layersOf27B = 62;

/** Errors: LodestoneError(badModel), one line naming the key. */
export function parseGgufConfig({ path, metadata, tensors }: Gguf): GemmaConfig {
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  const found = metadata.get('general.architecture');
  if (found === 'clip') fail('is the vision part of an image model (mmproj); name the file with the text model');
  if (found !== architecture) fail(`general.architecture is ${showValue(found)}; only ${architecture} is supported`);

  const get = (key: string): GgufValue | undefined => metadata.get(`${architecture}.${key}`);
  const integer = (key: string, most: number, fallback?: number): number => {
    const value = get(key) ?? fallback;
    if (value === undefined) return fail(`the metadata lacks ${architecture}.${key}`);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > most) {
      return fail(`${architecture}.${key} is ${showValue(value)}, not a whole number from 1 to ${most}`);
    }
    return value;
  };
  const positive = (key: string, fallback: number): number => {
    const value = get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) return fail(`${architecture}.${key} is ${showValue(value)}, not a positive number`);
    return value;
  };

  for (const key of ['attn_logit_softcapping', 'final_logit_softcapping']) {
    const value = get(key) ?? 0;
    if (value !== 0) fail(`${architecture}.${key} is ${showValue(value)}, which Gemma 3 does not have (is this Gemma 2?)`);
  }

  const hiddenSize = integer('embedding_length', limits.size);
  const heads = integer('attention.head_count', limits.size);
  const kvHeads = integer('attention.head_count_kv', limits.size, heads);
  const headDim = integer('attention.key_length', limits.size, hiddenSize / heads);
  const valueDim = integer('attention.value_length', limits.size, headDim);
  if (valueDim !== headDim) fail(`heads have ${headDim} elements in keys and ${valueDim} in values, which Gemma 3 does not have`);
  if (heads % kvHeads !== 0) fail(`${heads} query heads do not share ${kvHeads} KV heads evenly`);
  if (headDim % 2 !== 0) fail(`heads of ${headDim} elements can't be rotated in pairs`);
  const layerCount = integer('block_count', limits.layers);
  const maxPositions = integer('context_length', limits.positions);
  // Without a window all layers are global: the converter leaves it out where it is of no use.
  const windowed = get('attention.sliding_window') !== undefined;
  return {
    hiddenSize,
    intermediateSize: integer('feed_forward_length', limits.size),
    layers: windowed ? layerPattern(get('attention.sliding_window_pattern'), layerCount, fail) : Array.from({ length: layerCount }, () => ({ kind: 'global' })),
    heads,
    kvHeads,
    headDim,
    scale: ggufScale({ layers: { length: layerCount }, hiddenSize, heads, headDim }),
    window: windowed ? integer('attention.sliding_window', limits.positions) : maxPositions,
    ropeLocalBase: positive(get('rope.freq_base_swa') === undefined ? 'rope.local.freq_base' : 'rope.freq_base_swa', 1e4),
    ropeGlobal: { base: positive('rope.freq_base', 1e6), factor: ropeFactor(get, positive, fail) },
    globalLogScale: false,
    looksBothWays: false,
    vision: null,
    vocabSize: vocabularySize(metadata.get('tokenizer.ggml.tokens'), tensors.get('token_embd.weight')?.shape[0], fail),
    eps: positive('attention.layer_norm_rms_epsilon', 1e-6),
    maxPositions,
    embedScale: metadata.get('lodestone.embed_scale') === 'bf16' ? roundToBf16(Math.sqrt(hiddenSize)) : Math.sqrt(hiddenSize),
    isGemma: true,
    eosIds: eosIds(metadata, fail),
    prompt: 'gemma-chat',
  };
}

/** The factor of the attention logits, which GGUF does not say. */
export function ggufScale({ layers, hiddenSize, heads, headDim }: Pick<GemmaConfig, 'hiddenSize' | 'heads' | 'headDim'> & { readonly layers: { readonly length: number } }): number {
  return (layers.length === layersOf27B ? hiddenSize / heads : headDim) ** -0.5;
}

/** A period (the last of so many layers is global), or one flag per layer, true where it is local; 6 where it is not said. */
function layerPattern(pattern: GgufValue | undefined, count: number, fail: (what: string) => never): LayerConfig[] {
  const key = `${architecture}.attention.sliding_window_pattern`;
  if (pattern === undefined || typeof pattern === 'number') {
    const period = pattern ?? 6;
    if (!Number.isSafeInteger(period) || period < 1) return fail(`${key} is ${showValue(pattern)}, not a positive whole number`);
    return Array.from({ length: count }, (_, i) => ({ kind: (i + 1) % period === 0 ? 'global' : 'local' }));
  }
  const flags: readonly unknown[] | null = typeof pattern === 'object' ? Array.from(pattern as ArrayLike<unknown>) : null;
  if (flags?.length !== count || !flags.every((flag) => typeof flag === 'boolean')) {
    return fail(`${key} is neither a period nor a list of ${count} flags`);
  }
  return flags.map((local) => ({ kind: local ? 'local' : 'global' }));
}

function ropeFactor(get: (key: string) => GgufValue | undefined, positive: (key: string, fallback: number) => number, fail: (what: string) => never): number {
  const type = get('rope.scaling.type');
  if (type === 'linear') return positive('rope.scaling.factor', 1);
  if (type !== undefined && type !== 'none') return fail(`${architecture}.rope.scaling.type is ${showValue(type)}, not one of Gemma 3's (linear, none)`);
  if (type === undefined && get('rope.scale_linear') !== undefined) return positive('rope.scale_linear', 1);
  // Ollama's files of image models hold the vision part too, and do not name the factor.
  return type === undefined && get('vision.block_count') !== undefined ? imageModelRopeFactor : 1;
}

/** Ids that have an embedding and a token; an image's soft token and the padding after it are no text. */
function vocabularySize(tokens: GgufValue | undefined, rows: number | undefined, fail: (what: string) => never): number {
  if (typeof tokens !== 'object') return fail('the metadata has no list tokenizer.ggml.tokens');
  if (rows === undefined) return fail('no tensor token_embd.weight');
  if (rows < Math.min(tokens.length, imageTokenId)) return fail(`tensor token_embd.weight has ${rows} rows, but the metadata has ${tokens.length} tokens`);
  const size = Math.min(tokens.length, imageTokenId);
  return size > 0 ? size : fail('tokenizer.ggml.tokens is empty');
}

/** What the file calls the end of a text or a turn, and what Gemma does: some files name one of them only. */
function eosIds(metadata: ReadonlyMap<string, GgufValue>, fail: (what: string) => never): number[] {
  const tokens = metadata.get('tokenizer.ggml.tokens') as readonly unknown[];
  const ids = new Set<number>();
  for (const key of ['tokenizer.ggml.eos_token_id', 'tokenizer.ggml.eot_token_id']) {
    const id = metadata.get(key);
    if (id === undefined) continue;
    if (typeof id !== 'number' || !(id in tokens)) return fail(`${key} is ${showValue(id)}, which is none of the ${tokens.length} tokens`);
    ids.add(id);
  }
  for (const name of ['<eos>', '<end_of_turn>']) {
    const id = tokens.indexOf(name);
    if (id >= 0) ids.add(id);
  }
  return ids.size > 0 ? [...ids] : fail('the metadata names no token that ends a text (tokenizer.ggml.eos_token_id)');
}
