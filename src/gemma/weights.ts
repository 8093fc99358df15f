/**
 * Tensors of a checkpoint, by name -> the weights that the graph uses.
 *
 * In safetensors four layouts of names are in use (text-only files, original image models, in-memory names of transformers
 * 4.52 on, and those of 5.x); they differ in what stands before `embed_tokens`, `layers` and `norm`. GGUF has one of its
 * own. Vision tensors are left alone.
 */
import type { LodestoneError } from '../errors.js';
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import { isBlockFormat, layouts, storedBytes } from '../weights/blocks.js';
import { badFile } from '../weights/errors.js';
import type { Checkpoint, TensorEntry } from '../weights/safetensors.js';
import { embedScale, type GemmaConfig } from './config.js';
import { WeightLoader, type MatrixPlace } from './weight-loader.js';

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
  /** Bytes of all matrices, in their formats on the device, and gains. */
  readonly bytes: number;
  /** Buffers to give back with `Device.destroyBuffer`. */
  readonly buffers: readonly DeviceBuffer[];
}

/**
 * What matrices become. Those that are q8_0 or q4_0 in the file stay as they are, whatever is asked for; with 'none' all do.
 */
export type Quantize = 'none' | 'q8_0' | 'q4_0';

/** A vector in the checkpoint; `add` is added to each element. */
export interface VectorPlace {
  readonly entry: TensorEntry;
  readonly add: 0 | 1;
}

export type LayerPlaces = { readonly [K in keyof LayerWeights]: LayerWeights[K] extends Weight ? MatrixPlace : VectorPlace | Extract<LayerWeights[K], null> };

/** Where all text weights lie, found and checked; nothing of them is read yet. */
export interface GemmaPlaces {
  readonly embedding: MatrixPlace;
  readonly embedScale: number;
  /** null: the embedding. */
  readonly head: MatrixPlace | null;
  readonly layers: readonly LayerPlaces[];
  readonly finalNorm: VectorPlace;
}

/** What a kind of checkpoint calls its tensors, and what it adds to a norm's gain. */
interface Naming {
  readonly embedding: string;
  /** The output matrix goes by one of these, or is the embedding. */
  readonly heads: readonly string[];
  readonly finalNorm: string;
  readonly layer: (i: number) => string;
  /** After the layer's prefix. */
  readonly parts: Readonly<Record<keyof LayerPlaces, string>>;
  /** What must be added to a gain as stored. */
  readonly add: 0 | 1;
  /** Where the sizes come from, for messages. */
  readonly sizesFrom: string;
}

/** In front of `embed_tokens.weight`, `layers` and `norm`; the `lm_head` names that go with them. */
const prefixes = ['model.', 'language_model.model.', 'model.language_model.', 'model.language_model.model.', 'language_model.', ''];
const headNames = ['lm_head.weight', 'language_model.lm_head.weight', 'model.lm_head.weight', 'model.language_model.lm_head.weight'];

export function safetensorsNaming(prefix: string): Naming {
  return {
    embedding: `${prefix}embed_tokens.weight`,
    heads: headNames,
    finalNorm: `${prefix}norm.weight`,
    layer: (i) => `${prefix}layers.${i}.`,
    parts: {
      inputNorm: 'input_layernorm.weight',
      q: 'self_attn.q_proj.weight',
      k: 'self_attn.k_proj.weight',
      v: 'self_attn.v_proj.weight',
      o: 'self_attn.o_proj.weight',
      qNorm: 'self_attn.q_norm.weight',
      kNorm: 'self_attn.k_norm.weight',
      logScale: 'self_attn.log_n_scale',
      postAttentionNorm: 'post_attention_layernorm.weight',
      preFeedforwardNorm: 'pre_feedforward_layernorm.weight',
      gate: 'mlp.gate_proj.weight',
      up: 'mlp.up_proj.weight',
      down: 'mlp.down_proj.weight',
      postFeedforwardNorm: 'post_feedforward_layernorm.weight',
    },
    // 1 + w in float32, as in training; in bf16 it would lose most of w.
    add: 1,
    sizesFrom: 'config.json',
  };
}

/** llama.cpp's names. Its converter has added the 1 to the gains. */
export const ggufNaming: Naming = {
  embedding: 'token_embd.weight',
  heads: ['output.weight'],
  finalNorm: 'output_norm.weight',
  layer: (i) => `blk.${i}.`,
  parts: {
    inputNorm: 'attn_norm.weight',
    q: 'attn_q.weight',
    k: 'attn_k.weight',
    v: 'attn_v.weight',
    o: 'attn_output.weight',
    qNorm: 'attn_q_norm.weight',
    kNorm: 'attn_k_norm.weight',
    logScale: 'attn_log_n_scale.weight',
    postAttentionNorm: 'post_attention_norm.weight',
    preFeedforwardNorm: 'ffn_norm.weight',
    gate: 'ffn_gate.weight',
    up: 'ffn_up.weight',
    down: 'ffn_down.weight',
    postFeedforwardNorm: 'post_ffw_norm.weight',
  },
  add: 0,
  sizesFrom: 'the metadata',
};

/** By the dtype of a `TensorEntry`. */
const formats: ReadonlyMap<string, WeightFormat> = new Map((Object.keys(layouts) as WeightFormat[]).map((format) => [format.toUpperCase(), format]));

/**
 * Finds all text weights of a safetensors checkpoint by name. Errors: LodestoneError(badModel) that names the first
 * missing tensors, or the tensor whose shape is not the config's.
 */
export function locateGemmaWeights(checkpoint: Checkpoint, config: GemmaConfig): GemmaPlaces {
  const prefix = prefixes.find((candidate) => checkpoint.tensors.has(`${candidate}embed_tokens.weight`));
  if (prefix === undefined) throw badCheckpoint(checkpoint, 'no embed_tokens.weight under any of the names that Gemma 3 checkpoints use');
  return locate(checkpoint, config, safetensorsNaming(prefix), (embedding) => embedScale(config, embedding.dtype));
}

/** The same of a GGUF file. */
export function locateGgufWeights(checkpoint: Checkpoint, config: GemmaConfig): GemmaPlaces {
  if (!checkpoint.tensors.has(ggufNaming.embedding)) throw badCheckpoint(checkpoint, `no tensor ${ggufNaming.embedding}`);
  return locate(checkpoint, config, ggufNaming, () => config.embedScale);
}

function badCheckpoint({ files }: Checkpoint, what: string): LodestoneError {
  return badFile(files[0] ?? 'checkpoint', what);
}

/** Of a layer's tensors: [outputs, inputs] of a matrix, [length] of a vector. */
function layerShapes({ hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim }: GemmaConfig): Readonly<Record<keyof LayerPlaces, readonly number[]>> {
  return {
    inputNorm: [d],
    q: [heads * headDim, d],
    k: [kvHeads * headDim, d],
    v: [kvHeads * headDim, d],
    o: [d, heads * headDim],
    qNorm: [headDim],
    kNorm: [headDim],
    logScale: [heads],
    postAttentionNorm: [d],
    preFeedforwardNorm: [d],
    gate: [f, d],
    up: [f, d],
    down: [d, f],
    postFeedforwardNorm: [d],
  };
}

/**
 * The text weights that a checkpoint of this config has, all stored as bf16 with the output matrix tied, in no file: for
 * plans (`gemmaStorage`), not to be loaded.
 */
export function plannedGemmaPlaces(config: GemmaConfig): GemmaPlaces {
  const naming = safetensorsNaming('model.');
  const tensors = new Map<string, TensorEntry>();
  const add = (name: string, shape: readonly number[]): void => {
    const bytes = storedBytes('bf16', shape.reduce((product, size) => product * size, 1));
    tensors.set(name, { name, dtype: 'BF16', shape, path: '', offset: 0, bytes });
  };
  add(naming.embedding, [config.vocabSize, config.hiddenSize]);
  const { logScale, ...always } = layerShapes(config);
  for (const [i, { kind }] of config.layers.entries()) {
    for (const [part, shape] of Object.entries(always)) add(naming.layer(i) + naming.parts[part as keyof LayerPlaces], shape);
    if (config.globalLogScale && kind === 'global') add(naming.layer(i) + naming.parts.logScale, logScale);
  }
  add(naming.finalNorm, [config.hiddenSize]);
  return locate({ tensors, files: [] }, config, naming, () => config.embedScale);
}

function locate(checkpoint: Checkpoint, config: GemmaConfig, naming: Naming, scaleOf: (embedding: TensorEntry) => number): GemmaPlaces {
  const { tensors } = checkpoint;
  const bad = (what: string): LodestoneError => badCheckpoint(checkpoint, what);
  checkAllPresent(tensors, naming, config, bad);

  const wrongShape = ({ name, shape }: TensorEntry, wanted: string): LodestoneError =>
    bad(`tensor ${name} is [${shape.join(', ')}], but ${naming.sizesFrom} makes it [${wanted}]`);
  const find = (name: string, shape: readonly number[]): TensorEntry => {
    const found = tensors.get(name)!;
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) throw wrongShape(found, shape.join(', '));
    return found;
  };
  const matrixOf = (entry: TensorEntry, outputs: number, inputs: number): MatrixPlace => {
    const format = formats.get(entry.dtype);
    if (!format) throw bad(`tensor ${entry.name} is ${entry.dtype}; matrices must be ${[...formats.keys()].join(', ')}`);
    return { entry, format, outputs, inputs };
  };
  const { hiddenSize: d, vocabSize } = config;
  const rows = (entry: TensorEntry): MatrixPlace => {
    if (entry.shape.length !== 2 || entry.shape[1] !== d || entry.shape[0]! < vocabSize) throw wrongShape(entry, `${vocabSize} or more, ${d}`);
    return matrixOf(entry, vocabSize, d);
  };
  const headEntry = naming.heads.map((name) => tensors.get(name)).find((found) => found !== undefined);
  const embeddingEntry = tensors.get(naming.embedding)!;
  const shapes = layerShapes(config);
  return {
    embedding: rows(embeddingEntry),
    embedScale: scaleOf(embeddingEntry),
    head: headEntry ? rows(headEntry) : null,
    layers: config.layers.map(({ kind }, i) => {
      const entryOf = (part: keyof LayerPlaces): TensorEntry => find(naming.layer(i) + naming.parts[part], shapes[part]);
      const matrix = (part: keyof LayerPlaces): MatrixPlace => matrixOf(entryOf(part), shapes[part][0]!, shapes[part][1]!);
      const gain = (part: keyof LayerPlaces): VectorPlace => ({ entry: entryOf(part), add: naming.add });
      return {
        inputNorm: gain('inputNorm'),
        q: matrix('q'),
        k: matrix('k'),
        v: matrix('v'),
        o: matrix('o'),
        qNorm: gain('qNorm'),
        kNorm: gain('kNorm'),
        logScale: config.globalLogScale && kind === 'global' ? { entry: entryOf('logScale'), add: 0 } : null,
        postAttentionNorm: gain('postAttentionNorm'),
        preFeedforwardNorm: gain('preFeedforwardNorm'),
        gate: matrix('gate'),
        up: matrix('up'),
        down: matrix('down'),
        postFeedforwardNorm: gain('postFeedforwardNorm'),
      };
    }),
    finalNorm: { entry: find(naming.finalNorm, [d]), add: naming.add },
  };
}

/** The format of a matrix on the device. */
function formatOnDevice(format: WeightFormat, quantize: Quantize): WeightFormat {
  return quantize === 'none' || isBlockFormat(format) ? format : quantize;
}

/** All places of matrices and gains. */
function placesOf({ embedding, head, layers, finalNorm }: GemmaPlaces): (MatrixPlace | VectorPlace)[] {
  return [embedding, head, finalNorm, ...layers.flatMap((layer) => Object.values(layer))].filter((place) => place !== null);
}

/** What the weights take, before they are loaded. */
export interface GemmaStorage {
  /** As in `GemmaWeights`. */
  readonly quantization: string;
  readonly bytes: number;
  /** Elements of all matrices and gains. */
  readonly parameters: number;
  /** The matrix of most bytes, by its tensor's name. */
  readonly largest: { readonly label: string; readonly bytes: number };
}

export function gemmaStorage(places: GemmaPlaces, quantize: Quantize): GemmaStorage {
  let bytes = 0;
  let parameters = 0;
  let largest = { label: '', bytes: 0 };
  const elementsIn = new Map<WeightFormat, number>();
  for (const place of placesOf(places)) {
    if ('add' in place) {
      parameters += place.entry.shape[0]!;
      bytes += place.entry.shape[0]! * Float32Array.BYTES_PER_ELEMENT;
      continue;
    }
    const format = formatOnDevice(place.format, quantize);
    const elements = place.outputs * place.inputs;
    const stored = storedBytes(format, elements);
    parameters += elements;
    bytes += stored;
    if (stored > largest.bytes) largest = { label: place.entry.name, bytes: stored };
    elementsIn.set(format, (elementsIn.get(format) ?? 0) + elements);
  }
  const quantization = [...elementsIn].sort(([, a], [, b]) => b - a).map(([format]) => format).join('+');
  return { quantization, bytes, parameters, largest };
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
  const loader = new WeightLoader(device, signal);
  const matrix = (place: MatrixPlace): Promise<Weight> => loader.matrix(place, formatOnDevice(place.format, quantize));
  const vector = ({ entry, add }: VectorPlace): Promise<View> => loader.vector(entry, add);

  const { quantization, bytes } = gemmaStorage(places, quantize);
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
      embedScale: places.embedScale,
      head,
      layers,
      finalNorm: await vector(places.finalNorm),
      quantization,
      bytes,
      buffers: loader.buffers,
    };
  } catch (error) {
    loader.close();
    throw error;
  }
}

function checkAllPresent(
  tensors: ReadonlyMap<string, TensorEntry>,
  { layer, parts, finalNorm, sizesFrom }: Naming,
  config: GemmaConfig,
  bad: (what: string) => LodestoneError,
): void {
  const { logScale, ...always } = parts;
  const wanted = config.layers.flatMap(({ kind }, i) => {
    const names = Object.values(always);
    if (kind === 'global' && config.globalLogScale) names.push(logScale);
    return names.map((name) => layer(i) + name);
  });
  wanted.push(finalNorm);
  const missing = wanted.filter((name) => !tensors.has(name));
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    throw bad(`${missing.length} tensors are missing: ${missing.slice(0, 3).join(', ')}${more}`);
  }
  if (tensors.has(layer(config.layers.length) + parts.inputNorm)) {
    throw bad(`has more layers than the ${config.layers.length} of ${sizesFrom}`);
  }
}
