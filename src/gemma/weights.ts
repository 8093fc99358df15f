/**
 * Tensors of a checkpoint, by name -> the weights that the graph uses.
 *
 * Four layouts of names are in use (text-only files, original image models, in-memory names of transformers 4.52 on,
 * and those of 5.x); they differ in what stands before `embed_tokens`, `layers` and `norm`. Vision tensors are left alone.
 */
import { LodestoneError, ExitCode } from '../errors.js';
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import { isBlockFormat, storedBytes } from '../weights/blocks.js';
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
  /** Formats of the matrices on the device, that of most elements first: "bf16", "q4_0+q8_0". */
  readonly quantization: string;
  /** Bytes of all matrices, as stored in the files or as quantised, and gains. */
  readonly bytes: number;
  /** Buffers to give back with `Device.destroyBuffer`. */
  readonly buffers: readonly DeviceBuffer[];
}

/** What matrices in f32, f16 and bf16 become. Those that are q8_0 or q4_0 in the file stay as they are. */
export type Quantize = 'none' | 'q8_0' | 'q4_0';

/** A matrix in the checkpoint. Of a longer one (the embedding of image models), its first `outputs` rows. */
interface MatrixPlace {
  readonly entry: TensorEntry;
  readonly format: WeightFormat;
  readonly outputs: number;
  readonly inputs: number;
}

/** A vector in the checkpoint; `add` is added to each element. */
interface VectorPlace {
  readonly entry: TensorEntry;
  readonly add: 0 | 1;
}

type LayerPlaces = { readonly [K in keyof LayerWeights]: LayerWeights[K] extends Weight ? MatrixPlace : VectorPlace | Extract<LayerWeights[K], null> };

/** Where all text weights lie, found and checked; nothing of them is read yet. */
export interface GemmaPlaces {
  readonly embedding: MatrixPlace;
  /** null: the embedding. */
  readonly head: MatrixPlace | null;
  readonly layers: readonly LayerPlaces[];
  readonly finalNorm: VectorPlace;
}

/** In front of `embed_tokens.weight`, with the `lm_head` names that go with each. */
const prefixes = ['model.', 'language_model.model.', 'model.language_model.', 'model.language_model.model.', 'language_model.', ''];
const headNames = ['lm_head.weight', 'language_model.lm_head.weight', 'model.lm_head.weight', 'model.language_model.lm_head.weight'];

const formats: Readonly<Record<string, WeightFormat>> = { F32: 'f32', F16: 'f16', BF16: 'bf16', Q8_0: 'q8_0', Q4_0: 'q4_0' };

/**
 * Finds all text weights by name. Errors: LodestoneError(badModel) that names the first missing tensors, or the tensor
 * whose shape is not the config's.
 */
export function locateGemmaWeights(checkpoint: Checkpoint, config: GemmaConfig): GemmaPlaces {
  const where = checkpoint.files[0] ?? 'checkpoint';
  const bad = (what: string): LodestoneError => new LodestoneError(ExitCode.badModel, `${where}: ${what}`);
  const { tensors } = checkpoint;
  const prefix = prefixes.find((candidate) => tensors.has(`${candidate}embed_tokens.weight`));
  if (prefix === undefined) throw bad('no embed_tokens.weight under any of the names that Gemma 3 checkpoints use');
  checkAllPresent(tensors, prefix, config, bad);

  const find = (name: string, shape: readonly number[]): TensorEntry => {
    const found = tensors.get(prefix + name)!;
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
      throw bad(`tensor ${found.name} is [${found.shape.join(', ')}], but config.json makes it [${shape.join(', ')}]`);
    }
    return found;
  };
  const matrixOf = (entry: TensorEntry, outputs: number, inputs: number): MatrixPlace => {
    const format = formats[entry.dtype];
    if (!format) throw bad(`tensor ${entry.name} is ${entry.dtype}; matrices must be F32, F16 or BF16, or blocks of q8_0 or q4_0`);
    return { entry, format, outputs, inputs };
  };
  const matrix = (name: string, outputs: number, inputs: number): MatrixPlace => matrixOf(find(name, [outputs, inputs]), outputs, inputs);
  // 1 + w in float32, as in training; in bf16 it would lose most of w.
  const gain = (name: string, length: number): VectorPlace => ({ entry: find(name, [length]), add: 1 });

  const { hiddenSize: d, intermediateSize: f, headDim, heads, kvHeads, vocabSize } = config;
  const rows = (entry: TensorEntry): MatrixPlace => {
    if (entry.shape.length !== 2 || entry.shape[1] !== d || entry.shape[0]! < vocabSize) {
      throw bad(`tensor ${entry.name} is [${entry.shape.join(', ')}], but config.json makes it [${vocabSize} or more, ${d}]`);
    }
    return matrixOf(entry, vocabSize, d);
  };
  const headEntry = headNames.map((name) => tensors.get(name)).find((found) => found !== undefined);
  return {
    embedding: rows(tensors.get(`${prefix}embed_tokens.weight`)!),
    head: headEntry ? rows(headEntry) : null,
    layers: config.layers.map(({ kind }, i) => {
      const at = `layers.${i}`;
      const scaled = config.globalLogScale && kind === 'global';
      return {
        inputNorm: gain(`${at}.input_layernorm.weight`, d),
        q: matrix(`${at}.self_attn.q_proj.weight`, heads * headDim, d),
        k: matrix(`${at}.self_attn.k_proj.weight`, kvHeads * headDim, d),
        v: matrix(`${at}.self_attn.v_proj.weight`, kvHeads * headDim, d),
        o: matrix(`${at}.self_attn.o_proj.weight`, d, heads * headDim),
        qNorm: gain(`${at}.self_attn.q_norm.weight`, headDim),
        kNorm: gain(`${at}.self_attn.k_norm.weight`, headDim),
        logScale: scaled ? { entry: find(`${at}.self_attn.log_n_scale`, [heads]), add: 0 } : null,
        postAttentionNorm: gain(`${at}.post_attention_layernorm.weight`, d),
        preFeedforwardNorm: gain(`${at}.pre_feedforward_layernorm.weight`, d),
        gate: matrix(`${at}.mlp.gate_proj.weight`, f, d),
        up: matrix(`${at}.mlp.up_proj.weight`, f, d),
        down: matrix(`${at}.mlp.down_proj.weight`, d, f),
        postFeedforwardNorm: gain(`${at}.post_feedforward_layernorm.weight`, d),
      };
    }),
    finalNorm: gain('norm.weight', d),
  };
}

/** The format of a matrix on the device. */
function formatOnDevice(format: WeightFormat, quantize: Quantize): WeightFormat {
  return quantize === 'none' || isBlockFormat(format) ? format : quantize;
}

/** `quantization` and `bytes` of the weights, before they are loaded. */
export function gemmaStorage(places: GemmaPlaces, quantize: Quantize): { readonly quantization: string; readonly bytes: number } {
  const { embedding, head, layers, finalNorm } = places;
  let bytes = 0;
  const elementsIn = new Map<WeightFormat, number>();
  for (const place of [embedding, head, finalNorm, ...layers.flatMap((layer) => Object.values(layer))]) {
    if (place === null) continue;
    if ('add' in place) {
      bytes += place.entry.shape[0]! * Float32Array.BYTES_PER_ELEMENT;
      continue;
    }
    const format = formatOnDevice(place.format, quantize);
    const elements = place.outputs * place.inputs;
    bytes += storedBytes(format, elements);
    elementsIn.set(format, (elementsIn.get(format) ?? 0) + elements);
  }
  const quantization = [...elementsIn].sort(([, a], [, b]) => b - a).map(([format]) => format).join('+');
  return { quantization, bytes };
}

/** Loads all text weights. Errors: LodestoneError(badModel), those of `locateGemmaWeights` among them; the signal's reason. */
export async function loadGemmaWeights(
  device: Device,
  checkpoint: Checkpoint,
  config: GemmaConfig,
  quantize: Quantize = 'none',
  signal?: AbortSignal,
  places = locateGemmaWeights(checkpoint, config),
): Promise<GemmaWeights> {
  const buffers: DeviceBuffer[] = [];

  const matrix = async ({ entry, format, outputs, inputs }: MatrixPlace): Promise<Weight> => {
    signal?.throwIfAborted();
    const data = { path: entry.path, offset: entry.offset, bytes: storedBytes(format, outputs * inputs) };
    return device.loadWeight({ label: entry.name, format, outputs, inputs, data }, formatOnDevice(format, quantize));
  };
  const vector = async ({ entry, add }: VectorPlace): Promise<View> => {
    const values = await readTensorF32(entry);
    for (let i = 0; i < values.length; i++) values[i]! += add;
    const buffer = device.createBuffer(values.byteLength, entry.name);
    buffers.push(buffer);
    device.write({ buffer, offset: 0 }, values);
    return { buffer, offset: 0 };
  };

  try {
    const embedding = await matrix(places.embedding);
    const head = places.head ? await matrix(places.head) : embedding;
    const layers: LayerWeights[] = [];
    for (const layer of places.layers) {
      const loaded: Partial<Record<keyof LayerWeights, Weight | View | null>> = {};
      for (const name of Object.keys(layer) as (keyof LayerPlaces)[]) {
        const place = layer[name];
        loaded[name] = place === null ? null : await ('add' in place ? vector(place) : matrix(place));
      }
      layers.push(loaded as LayerWeights);
    }
    return {
      embedding,
      embedScale: embedScale(config, places.embedding.entry.dtype),
      head,
      layers,
      finalNorm: await vector(places.finalNorm),
      ...gemmaStorage(places, quantize),
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
