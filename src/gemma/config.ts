/**
 * `config.json` of a Gemma 3 model -> plain data with every field explicit.
 *
 * Published configs are sparse (they store what differs from the class defaults of transformers' `Gemma3TextConfig`),
 * come in two generations of RoPE and layer-pattern spelling, and for image models hold the text model inside
 * `text_config`. Everything that is not this architecture is refused by name.
 * Source: Gemma 3 report (arXiv 2503.19786), transformers `configuration_gemma3.py` 4.57 and 5.18.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { showJson } from '../weights/json.js';
import { gemmaImageTokens, parseVisionConfig, type VisionConfig } from './vision-config.js';

export interface LayerConfig {
  /** local: sees the last `window` positions. global: sees all of them. */
  readonly kind: 'local' | 'global';
}

export interface GemmaConfig {
  /** d, the width of the residual stream. */
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: readonly LayerConfig[];
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Factor of the attention logits: query_pre_attn_scalar^-1/2. */
  readonly scale: number;
  /** Positions that a local layer's query sees, itself included. */
  readonly window: number;
  readonly ropeLocalBase: number;
  /** Rotation in global layers; angles are divided by `factor`. null: none (lodestone models). */
  readonly ropeGlobal: { readonly base: number; readonly factor: number } | null;
  /** Global layers multiply their logits by log_n_scale[head] * ln(visible keys) (lodestone models). */
  readonly globalLogScale: boolean;
  /** Ids that text can have and that have logits; image models' extra embedding rows are left out. */
  readonly vocabSize: number;
  readonly eps: number;
  /** The longest context the model was made for. */
  readonly maxPositions: number;
  /** sqrt(d), unrounded unless a `lodestone` section says otherwise; see `embedScale`. */
  readonly embedScale: number;
  /** A published Gemma 3, as opposed to a model with a `lodestone` section. */
  readonly isGemma: boolean;
  /** Generation ends at any of these. */
  readonly eosIds: readonly number[];
  readonly prompt: 'gemma-chat' | 'qa';
  /** A passage that is read again alone is read both ways (lodestone models). */
  readonly looksBothWays: boolean;
  /** The vision tower of an image model; null: text only. */
  readonly vision: VisionConfig | null;
}

type Json = Readonly<Record<string, unknown>>;

/** Defaults of transformers' Gemma3TextConfig. */
const classDefaults: Json = {
  vocab_size: 262208,
  hidden_size: 2304,
  intermediate_size: 9216,
  num_hidden_layers: 26,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 256,
  hidden_activation: 'gelu_pytorch_tanh',
  max_position_embeddings: 131072,
  rms_norm_eps: 1e-6,
  eos_token_id: 1,
  rope_theta: 1e6,
  rope_local_base_freq: 1e4,
  query_pre_attn_scalar: 256,
  sliding_window: 4096,
};

/** The first of the 64 extra embedding rows of image models: an image's soft token. */
export const imageTokenId = gemmaImageTokens.soft;

/** Above these, a number in a config is taken for damage rather than for a model. */
export const configLimits = { size: 2 ** 24, layers: 4096, positions: 2 ** 31 };

/**
 * @param json parsed `config.json`
 * @param path its path, for messages
 * @param generation parsed `generation_config.json`, where there is one: it knows the stop ids
 * Errors: LodestoneError(badModel), one line naming the field.
 */
export function parseConfig(json: unknown, path: string, generation?: unknown): GemmaConfig {
  const fail = (what: string): never => {
    throw new LodestoneError(ExitCode.badModel, `${path}: ${what}`);
  };
  if (!isObject(json)) return fail('is not a JSON object');
  const modelType = json['model_type'];
  if (modelType === 'whisper') fail('is a speech recogniser (Whisper), which answers no questions; it hears recordings when --speech names it');
  if (modelType !== 'gemma3' && modelType !== 'gemma3_text') {
    return fail(`model_type is ${showJson(modelType)}; only Gemma 3 (gemma3, gemma3_text) is supported`);
  }
  const multimodal = modelType === 'gemma3';
  const text = multimodal ? json['text_config'] : json;
  if (!isObject(text)) return fail('model_type is gemma3, but there is no text_config');
  if (multimodal && text['model_type'] !== undefined && text['model_type'] !== 'gemma3_text') {
    return fail(`text_config.model_type is ${showJson(text['model_type'])}, not gemma3_text`);
  }

  const get = (key: string): unknown => text[key] ?? classDefaults[key];
  const integer = (key: string, most = configLimits.size, least = 1): number => {
    const value = get(key);
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) {
      return fail(`${key} is ${showJson(value)}, not a whole number from ${least} to ${most}`);
    }
    return value as number;
  };
  const positive = (value: unknown, key: string): number =>
    typeof value === 'number' && Number.isFinite(value) && value > 0
      ? value
      : fail(`${key} is ${showJson(value)}, not a positive number`);

  if (truthy(text['use_bidirectional_attention'])) {
    fail('use_bidirectional_attention is set: this is an embedding model (EmbeddingGemma), which generates no text');
  }
  for (const key of ['attn_logit_softcapping', 'final_logit_softcapping']) {
    if (text[key] != null) fail(`${key} is set, which Gemma 3 does not have (is this Gemma 2?)`);
  }
  if (truthy(text['attention_bias'])) fail('attention_bias is set, which Gemma 3 does not have');
  if (get('hidden_activation') !== 'gelu_pytorch_tanh') {
    fail(`hidden_activation is ${showJson(get('hidden_activation'))}, not gelu_pytorch_tanh`);
  }

  const hiddenSize = integer('hidden_size');
  const heads = integer('num_attention_heads');
  const kvHeads = integer('num_key_value_heads');
  const headDim = integer('head_dim');
  if (heads % kvHeads !== 0) fail(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${kvHeads}`);
  if (headDim % 2 !== 0) fail(`head_dim ${headDim} is odd`);
  const layers = layerPattern(text, integer('num_hidden_layers', configLimits.layers), fail);
  const rope = ropeBases(text, positive, fail);
  const vision = json['vision_config'];
  if (multimodal && vision != null && !isObject(vision)) return fail('vision_config is not an object');
  const lodestone = lodestoneSwitches(json['lodestone'], fail);

  return {
    hiddenSize,
    intermediateSize: integer('intermediate_size'),
    layers,
    heads,
    kvHeads,
    headDim,
    scale: positive(get('query_pre_attn_scalar'), 'query_pre_attn_scalar') ** -0.5,
    window: integer('sliding_window', configLimits.positions),
    ropeLocalBase: rope.local,
    ropeGlobal: lodestone?.globalRope === 'none' ? null : rope.global,
    globalLogScale: lodestone?.globalLogitScale === 'log_n',
    vocabSize: multimodal ? Math.min(integer('vocab_size'), imageToken(json, fail)) : integer('vocab_size'),
    eps: positive(get('rms_norm_eps'), 'rms_norm_eps'),
    maxPositions: integer('max_position_embeddings', configLimits.positions),
    embedScale: lodestone?.embedScale === 'bf16' ? roundToBf16(Math.sqrt(hiddenSize)) : Math.sqrt(hiddenSize),
    isGemma: lodestone === null,
    eosIds: eosIds(generation, json, text, fail),
    prompt: lodestone === null ? 'gemma-chat' : lodestone.prompt,
    looksBothWays: lodestone?.look === 'both_ways',
    vision: multimodal && isObject(vision) ? parseVisionConfig(json, vision, fail) : null,
  };
}

/**
 * Factor of the token embeddings. Published Gemma 3 checkpoints in bf16 were made with sqrt(d) rounded to bf16, as
 * transformers computes it; it shows in the logits. So were those that have been quantised since. Elsewhere it is sqrt(d).
 * @param dtype how the checkpoint stores the embedding (as in `TensorEntry`)
 */
export function embedScale(config: GemmaConfig, dtype: string): number {
  if (!config.isGemma || dtype === 'F32' || dtype === 'F16') return config.embedScale;
  return roundToBf16(config.embedScale);
}

export function roundToBf16(value: number): number {
  const float = new Float32Array([value]);
  const bits = new Uint32Array(float.buffer);
  bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
  return float[0]!;
}

function layerPattern(text: Json, count: number, fail: (what: string) => never): LayerConfig[] {
  const types = text['layer_types'];
  if (types != null) {
    if (!Array.isArray(types) || types.length !== count) return fail(`layer_types is not a list of ${count} layers`);
    return types.map((type: unknown, i) => {
      if (type === 'sliding_attention') return { kind: 'local' };
      if (type === 'full_attention') return { kind: 'global' };
      return fail(`layer_types[${i}] is ${showJson(type)}, not sliding_attention or full_attention`);
    });
  }
  const every = text['sliding_window_pattern'] ?? text['_sliding_window_pattern'] ?? 6;
  if (!Number.isSafeInteger(every) || (every as number) < 1) {
    return fail(`sliding_window_pattern is ${showJson(every)}, not a positive whole number`);
  }
  return Array.from({ length: count }, (_, i) => ({ kind: (i + 1) % (every as number) === 0 ? 'global' : 'local' }));
}

interface RopeBases {
  readonly local: number;
  readonly global: { readonly base: number; readonly factor: number };
}

function ropeBases(
  text: Json,
  positive: (value: unknown, key: string) => number,
  fail: (what: string) => never,
): RopeBases {
  /** The factor that positions are divided by. */
  const factorOf = (scaling: Json, key: string): number => {
    const type = scaling['rope_type'] ?? scaling['type'] ?? 'default';
    if (type === 'default') return 1;
    if (type === 'linear') return positive(scaling['factor'], `${key}.factor`);
    return fail(`${key}: RoPE scaling ${showJson(type)} is not one of Gemma 3's (default, linear)`);
  };
  const parameters = text['rope_parameters'];
  if (parameters != null) {
    if (!isObject(parameters)) return fail('rope_parameters is not an object');
    const { full_attention: full, sliding_attention: sliding } = parameters;
    if (!isObject(full) || !isObject(sliding)) {
      return fail('rope_parameters lacks full_attention or sliding_attention');
    }
    if (factorOf(sliding, 'rope_parameters.sliding_attention') !== 1) {
      return fail('rope_parameters.sliding_attention is scaled, which Gemma 3 never does');
    }
    return {
      local: positive(sliding['rope_theta'] ?? 1e4, 'rope_parameters.sliding_attention.rope_theta'),
      global: {
        base: positive(full['rope_theta'] ?? 1e6, 'rope_parameters.full_attention.rope_theta'),
        factor: factorOf(full, 'rope_parameters.full_attention'),
      },
    };
  }
  const scaling = text['rope_scaling'];
  if (scaling != null && !isObject(scaling)) return fail('rope_scaling is not an object');
  return {
    local: positive(text['rope_local_base_freq'] ?? 1e4, 'rope_local_base_freq'),
    global: {
      base: positive(text['rope_theta'] ?? 1e6, 'rope_theta'),
      factor: scaling == null ? 1 : factorOf(scaling, 'rope_scaling'),
    },
  };
}

interface LodestoneSwitches {
  readonly globalRope: 'none' | 'gemma';
  readonly globalLogitScale: 'log_n' | 'none';
  readonly prompt: 'qa' | 'gemma-chat';
  readonly look: 'causal' | 'both_ways';
  /** sqrt(d) as it is, or rounded: a converted model keeps its source's, whatever its embedding's format has become. */
  readonly embedScale: 'exact' | 'bf16';
}

/** The `lodestone` section: what our own models change. null for every other model. */
function lodestoneSwitches(section: unknown, fail: (what: string) => never): LodestoneSwitches | null {
  if (section == null) return null;
  if (!isObject(section)) return fail('lodestone is not an object');
  const oneOf = <T extends string>(key: string, values: readonly [T, ...T[]]): T => {
    const value = section[key] ?? values[0];
    return values.find((known) => known === value) ?? fail(`lodestone.${key} is ${showJson(value)}, not ${values.join(' or ')}`);
  };
  return {
    globalRope: oneOf('global_rope', ['gemma', 'none']),
    globalLogitScale: oneOf('global_logit_scale', ['none', 'log_n']),
    prompt: oneOf('prompt', ['qa', 'gemma-chat']),
    look: oneOf('look', ['causal', 'both_ways']),
    embedScale: oneOf('embed_scale', ['exact', 'bf16']),
  };
}

function imageToken(json: Json, fail: (what: string) => never): number {
  const id = json['image_token_index'] ?? json['image_token_id'] ?? imageTokenId;
  if (!Number.isSafeInteger(id) || (id as number) < 1) return fail(`image_token_index is ${showJson(id)}`);
  return id as number;
}

function eosIds(generation: unknown, json: Json, text: Json, fail: (what: string) => never): number[] {
  const fromGeneration = isObject(generation) ? generation['eos_token_id'] : undefined;
  const found = fromGeneration ?? json['eos_token_id'] ?? text['eos_token_id'] ?? classDefaults['eos_token_id'];
  const ids: unknown[] = Array.isArray(found) ? found : [found];
  if (!ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)) {
    return fail(`eos_token_id is ${showJson(found)}, not a token id or a list of them`);
  }
  return ids as number[];
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON null and false are off. */
function truthy(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}
