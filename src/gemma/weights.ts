/**
 * Tensors of a checkpoint, by name -> the weights that the graph uses.
 *
 * Four layouts of names are in use (text-only files, original image models, in-memory names of transformers 4.52 on,
 * and those of 5.x); they differ in what stands before `embed_tokens`, `layers` and `norm`. Vision tensors are left alone.
 */
import { LodestoneError, ExitCode } from '../errors.js';
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import { readTensorF32 } from '../weights/read.js';
import type { Checkpoint, TensorEntry } from '../weights/safetensors.js';
import { embedScale, type GemmaConfig } from './config.js';

/** A layer's matrices are [outputs, inputs]; its norm gains are 1 + w, in f32. */
export interface LayerWeights {
  readonly inputNorm: View;
  readonly q: Weight;
  readonly k: Weight;
  readonly v: Weight;
  readonly o: Weight;
  readonly qNorm: View;
  readonly kNorm: View;
  /** log_n_scale [heads], of global layers with a log-n logit scale. */
  readonly logScale: View | null;
  readonly postAttentionNorm: View;
  readonly preFeedforwardNorm: View;
  readonly gate: Weight;
  readonly up: Weight;
  readonly down: Weight;
  readonly postFeedforwardNorm: View;
}

export interface GemmaWeights {
  /** [vocabSize, hiddenSize] */
  readonly embedding: Weight;
  readonly embedScale: number;
  /** The output matrix; the embedding itself where they are tied. */
  readonly head: Weight;
  readonly layers: readonly LayerWeights[];
  readonly finalNorm: View;
  /** How most matrices are stored on the device. */
  readonly format: WeightFormat;
  /** Bytes of all matrices, as stored in the files or as quantised, and gains. */
  readonly bytes: number;
  /** Buffers to give back with `Device.destroyBuffer`. */
  readonly buffers: readonly DeviceBuffer[];
}

export type Quantize = 'none' | 'q8_0' | 'q4_0';

/** In front of `embed_tokens.weight`, with the `lm_head` names that go with each. */
const prefixes = ['model.', 'language_model.model.', 'model.language_model.', 'model.language_model.model.', 'language_model.', ''];
const headNames = ['lm_head.weight', 'language_model.lm_head.weight', 'model.lm_head.weight', 'model.language_model.lm_head.weight'];

const formats: Readonly<Record<string, WeightFormat>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** Bytes per element, averaged over a block. */
const bytesPerElement: Readonly<Record<WeightFormat, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  q8_0: 34 / 32,
  q4_0: 18 / 32,
};

/**
 * Loads all text weights. Errors: LodestoneError(badModel) that names the first missing tensors, or the tensor whose
 * shape is not the config's.
 */
export async function loadGemmaWeights(
  device: Device,
  checkpoint: Checkpoint,
  config: GemmaConfig,
  quantize: Quantize = 'none',
  signal?: AbortSignal,
): Promise<GemmaWeights> {
  const where = checkpoint.files[0] ?? 'checkpoint';
  const bad = (what: string): LodestoneError => new LodestoneError(ExitCode.badModel, `${where}: ${what}`);
  const { tensors } = checkpoint;
  const prefix = prefixes.find((candidate) => tensors.has(`${candidate}embed_tokens.weight`));
  if (prefix === undefined) throw bad('no embed_tokens.weight under any of the names that Gemma 3 checkpoints use');
  checkAllPresent(tensors, prefix, config, bad);

  const buffers: DeviceBuffer[] = [];
  let bytes = 0;

  const entry = (name: string, shape: readonly number[]): TensorEntry => {
    const found = tensors.get(prefix + name)!;
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
      throw bad(`tensor ${found.name} is [${found.shape.join(', ')}], but config.json makes it [${shape.join(', ')}]`);
    }
    return found;
  };

  const matrixOf = async (found: TensorEntry, outputs: number, inputs: number): Promise<Weight> => {
    signal?.throwIfAborted();
    const format = formats[found.dtype];
    if (!format) throw bad(`tensor ${found.name} is ${found.dtype}; matrices must be F32, F16 or BF16`);
    const as = quantize === 'none' ? format : quantize;
    // Of a longer matrix (the embedding of image models), the first rows.
    const data = { path: found.path, offset: found.offset, bytes: outputs * inputs * bytesPerElement[format] };
    bytes += outputs * inputs * bytesPerElement[as];
    return device.loadWeight({ label: found.name, format, outputs, inputs, data }, as);
  };
  const matrix = (name: string, outputs: number, inputs: number): Promise<Weight> =>
    matrixOf(entry(name, [outputs, inputs]), outputs, inputs);

  const vector = async (name: string, length: number, add: number): Promise<View> => {
    const found = entry(name, [length]);
    const values = await readTensorF32(found);
    // 1 + w in float32, as in training; in bf16 it would lose most of w.
    for (let i = 0; i < values.length; i++) values[i]! += add;
    const buffer = device.createBuffer(values.byteLength, found.name);
    buffers.push(buffer);
    bytes += values.byteLength;
    device.write({ buffer, offset: 0 }, values);
    return { buffer, offset: 0 };
  };
  const gain = (name: string, length: number): Promise<View> => vector(name, length, 1);

  const rows = (found: TensorEntry): TensorEntry => {
    if (found.shape.length !== 2 || found.shape[1] !== config.hiddenSize || found.shape[0]! < config.vocabSize) {
      const wanted = `[${config.vocabSize} or more, ${config.hiddenSize}]`;
      throw bad(`tensor ${found.name} is [${found.shape.join(', ')}], but config.json makes it ${wanted}`);
    }
    return found;
  };

  try {
    const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads, vocabSize } = config;
    const embeddingEntry = rows(tensors.get(`${prefix}embed_tokens.weight`)!);
    const headEntry = headNames.map((name) => tensors.get(name)).find((found) => found !== undefined);
    const embedding = await matrixOf(embeddingEntry, vocabSize, d);
    const head = headEntry ? await matrixOf(rows(headEntry), vocabSize, d) : embedding;
    const layers: LayerWeights[] = [];
    for (const [i, { kind }] of config.layers.entries()) {
      const at = `layers.${i}`;
      layers.push({
        inputNorm: await gain(`${at}.input_layernorm.weight`, d),
        q: await matrix(`${at}.self_attn.q_proj.weight`, heads * headDim, d),
        k: await matrix(`${at}.self_attn.k_proj.weight`, kvHeads * headDim, d),
        v: await matrix(`${at}.self_attn.v_proj.weight`, kvHeads * headDim, d),
        o: await matrix(`${at}.self_attn.o_proj.weight`, d, heads * headDim),
        qNorm: await gain(`${at}.self_attn.q_norm.weight`, headDim),
        kNorm: await gain(`${at}.self_attn.k_norm.weight`, headDim),
        logScale:
          config.globalLogScale && kind === 'global' ? await vector(`${at}.self_attn.log_n_scale`, heads, 0) : null,
        postAttentionNorm: await gain(`${at}.post_attention_layernorm.weight`, d),
        preFeedforwardNorm: await gain(`${at}.pre_feedforward_layernorm.weight`, d),
        gate: await matrix(`${at}.mlp.gate_proj.weight`, f, d),
        up: await matrix(`${at}.mlp.up_proj.weight`, f, d),
        down: await matrix(`${at}.mlp.down_proj.weight`, d, f),
        postFeedforwardNorm: await gain(`${at}.post_feedforward_layernorm.weight`, d),
      });
    }
    return {
      embedding,
      embedScale: embedScale(config, embeddingEntry.dtype),
      head,
      layers,
      finalNorm: await gain('norm.weight', d),
      format: layers[0]!.q.format,
      bytes,
      buffers,
    };
  } catch (error) {
    for (const buffer of buffers) device.destroyBuffer(buffer);
    throw error;
  }
}

/** Names of a layer's tensors, after `layers.{i}.`. */
const layerTensors = [
  'input_layernorm.weight',
  'self_attn.q_proj.weight',
  'self_attn.k_proj.weight',
  'self_attn.v_proj.weight',
  'self_attn.o_proj.weight',
  'self_attn.q_norm.weight',
  'self_attn.k_norm.weight',
  'post_attention_layernorm.weight',
  'pre_feedforward_layernorm.weight',
  'mlp.gate_proj.weight',
  'mlp.up_proj.weight',
  'mlp.down_proj.weight',
  'post_feedforward_layernorm.weight',
];

function checkAllPresent(
  tensors: ReadonlyMap<string, TensorEntry>,
  prefix: string,
  config: GemmaConfig,
  bad: (what: string) => LodestoneError,
): void {
  const wanted = config.layers.flatMap(({ kind }, i) => {
    const names = kind === 'global' && config.globalLogScale ? [...layerTensors, 'self_attn.log_n_scale'] : layerTensors;
    return names.map((name) => `${prefix}layers.${i}.${name}`);
  });
  wanted.push(`${prefix}norm.weight`);
  const missing = wanted.filter((name) => !tensors.has(name));
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    throw bad(`${missing.length} tensors are missing: ${missing.slice(0, 3).join(', ')}${more}`);
  }
  if (tensors.has(`${prefix}layers.${config.layers.length}.input_layernorm.weight`)) {
    throw bad(`has more layers than the ${config.layers.length} of config.json`);
  }
}
