/**
 * Tensors of an image model, by name -> the weights of the vision tower and the projector.
 *
 * In safetensors, what stands before a tower's names differs between generations of transformers; GGUF has the tower in a
 * file of its own (mmproj), whose early versions have the two matrices of the MLP named the wrong way round, or, from
 * Ollama, in the text model's file.
 */
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import { layouts, storedBytes } from '../weights/blocks.js';
import { badFile } from '../weights/errors.js';
import { readTensorF32 } from '../weights/read.js';
import type { Checkpoint, TensorEntry } from '../weights/safetensors.js';
import { channels, type VisionConfig } from './vision-config.js';
import type { LayerNorm, Linear, VisionLayer, VisionWeights } from './vision-graph.js';
import { WeightLoader, type MatrixPlace } from './weight-loader.js';

interface LinearPlace {
  readonly weight: MatrixPlace;
  readonly bias: TensorEntry;
}

interface NormPlace {
  readonly gain: TensorEntry;
  readonly bias: TensorEntry;
}

type LayerPlaces = { readonly [K in keyof VisionLayer]: VisionLayer[K] extends Linear ? LinearPlace : NormPlace };

/** Where all weights of the tower and the projector lie, found and checked; nothing of them is read yet. */
export interface VisionPlaces {
  readonly patch: LinearPlace;
  readonly positions: TensorEntry;
  readonly layers: readonly LayerPlaces[];
  readonly postNorm: NormPlace;
  readonly softNorm: TensorEntry;
  /** To be added to `softNorm` as stored. */
  readonly softNormAdd: 0 | 1;
  /** [hiddenSize, the text model's hiddenSize]: the transpose of what a product needs. */
  readonly projection: TensorEntry;
}

/** What a kind of checkpoint calls the tensors; `.weight` and `.bias` follow, but for those that say so. */
interface Naming {
  readonly patch: string;
  readonly positions: string;
  readonly layer: (i: number) => string;
  readonly parts: Readonly<Record<keyof VisionLayer, string>>;
  readonly postNorm: string;
  readonly softNorm: string;
  /** The whole name. */
  readonly projection: string;
  readonly softNormAdd: 0 | 1;
}

/** In front of the tower's names, and of the projector's. */
const towerPrefixes = ['vision_tower.vision_model.', 'model.vision_tower.vision_model.', 'vision_tower.', 'model.vision_tower.'];
const projectorPrefixes = ['multi_modal_projector.', 'model.multi_modal_projector.'];

const patchName = 'embeddings.patch_embedding';

function safetensorsNaming(tower: string, projector: string): Naming {
  return {
    patch: tower + patchName,
    positions: `${tower}embeddings.position_embedding`,
    layer: (i) => `${tower}encoder.layers.${i}.`,
    parts: {
      norm1: 'layer_norm1',
      q: 'self_attn.q_proj',
      k: 'self_attn.k_proj',
      v: 'self_attn.v_proj',
      o: 'self_attn.out_proj',
      norm2: 'layer_norm2',
      fc1: 'mlp.fc1',
      fc2: 'mlp.fc2',
    },
    postNorm: `${tower}post_layernorm`,
    softNorm: `${projector}mm_soft_emb_norm`,
    projection: `${projector}mm_input_projection_weight`,
    softNormAdd: 1,
  };
}

/** llama.cpp's names. Its converter has added the 1 to the projector's gain. */
function ggufNaming(swapped: boolean): Naming {
  return {
    patch: 'v.patch_embd',
    positions: 'v.position_embd',
    layer: (i) => `v.blk.${i}.`,
    parts: { norm1: 'ln1', q: 'attn_q', k: 'attn_k', v: 'attn_v', o: 'attn_out', norm2: 'ln2', fc1: swapped ? 'ffn_down' : 'ffn_up', fc2: swapped ? 'ffn_up' : 'ffn_down' },
    postNorm: 'v.post_ln',
    softNorm: 'mm.soft_emb_norm',
    projection: 'mm.input_projection.weight',
    softNormAdd: 0,
  };
}

/** Ollama's names; the 1 is added to the projector's gain there too. */
const ollamaNaming: Naming = {
  patch: 'v.patch_embedding',
  positions: 'v.position_embedding',
  layer: (i) => `v.blk.${i}.`,
  parts: { norm1: 'layer_norm1', q: 'attn_q', k: 'attn_k', v: 'attn_v', o: 'attn_output', norm2: 'layer_norm2', fc1: 'mlp.fc1', fc2: 'mlp.fc2' },
  postNorm: 'v.post_layernorm',
  softNorm: 'mm.mm_soft_emb_norm',
  projection: 'mm.mm_input_projection.weight',
  softNormAdd: 0,
};

const formats: ReadonlyMap<string, WeightFormat> = new Map((Object.keys(layouts) as WeightFormat[]).map((format) => [format.toUpperCase(), format]));

/**
 * Finds the vision weights of a safetensors checkpoint by name; null where it has none of them (a text model cut out of
 * an image model). Errors: LodestoneError(badModel) that names the missing tensors, or the one of the wrong shape.
 */
export function locateVisionWeights(checkpoint: Checkpoint, config: VisionConfig, textWidth: number): VisionPlaces | null {
  const { tensors } = checkpoint;
  const tower = towerPrefixes.find((prefix) => tensors.has(`${prefix}${patchName}.weight`));
  if (tower === undefined) return null;
  const projector = projectorPrefixes.find((prefix) => tensors.has(`${prefix}mm_input_projection_weight`)) ?? projectorPrefixes[0]!;
  return locate(checkpoint, config, textWidth, safetensorsNaming(tower, projector));
}

/** The same of a GGUF file of the vision part, or of one of Ollama's with both. */
export function locateGgufVisionWeights(checkpoint: Checkpoint, config: VisionConfig, textWidth: number): VisionPlaces {
  if (checkpoint.tensors.has(`${ollamaNaming.patch}.weight`)) return locate(checkpoint, config, textWidth, ollamaNaming);
  const down = checkpoint.tensors.get('v.blk.0.ffn_down.weight');
  const swapped = down?.shape[1] === config.hiddenSize && config.hiddenSize !== config.intermediateSize;
  return locate(checkpoint, config, textWidth, ggufNaming(swapped));
}

/** The tower and projector of this config, all stored as bf16, in no file: for plans (`visionBytes`), not to be loaded. */
export function plannedVisionPlaces(config: VisionConfig, textWidth: number): VisionPlaces {
  return locate({ tensors: null, files: [] }, config, textWidth, safetensorsNaming(towerPrefixes[0]!, projectorPrefixes[0]!));
}

/** @param tensors null: as if all were there, in bf16 */
function locate({ tensors, files }: { readonly tensors: Checkpoint['tensors'] | null; readonly files: readonly string[] }, config: VisionConfig, textWidth: number, naming: Naming): VisionPlaces {
  const bad = (what: string): Error => badFile(files[0] ?? 'checkpoint', what);
  const { hiddenSize: d, intermediateSize: f, patchSize, side, layers } = config;
  const missing: string[] = [];
  const find = (name: string, shape: readonly number[]): TensorEntry => {
    const found = tensors?.get(name);
    if (!found) {
      if (tensors !== null) missing.push(name);
      return { name, dtype: 'BF16', shape, path: '', offset: 0, bytes: 0 };
    }
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
      throw bad(`tensor ${name} is [${found.shape.join(', ')}], but the vision tower's sizes make it [${shape.join(', ')}]`);
    }
    return found;
  };
  const linear = (name: string, outputs: number, ...inputs: readonly number[]): LinearPlace => {
    const entry = find(`${name}.weight`, [outputs, ...inputs]);
    const format = formats.get(entry.dtype);
    if (!format) throw bad(`tensor ${entry.name} is ${entry.dtype}; matrices must be ${[...formats.keys()].join(', ')}`);
    return { weight: { entry, format, outputs, inputs: inputs.reduce((product, size) => product * size, 1) }, bias: find(`${name}.bias`, [outputs]) };
  };
  const norm = (name: string): NormPlace => ({ gain: find(`${name}.weight`, [d]), bias: find(`${name}.bias`, [d]) });
  const places: VisionPlaces = {
    patch: linear(naming.patch, d, channels, patchSize, patchSize),
    positions: find(`${naming.positions}.weight`, [side ** 2, d]),
    layers: Array.from({ length: layers }, (_, i) => {
      const name = (part: keyof VisionLayer): string => naming.layer(i) + naming.parts[part];
      return {
        norm1: norm(name('norm1')),
        q: linear(name('q'), d, d),
        k: linear(name('k'), d, d),
        v: linear(name('v'), d, d),
        o: linear(name('o'), d, d),
        norm2: norm(name('norm2')),
        fc1: linear(name('fc1'), f, d),
        fc2: linear(name('fc2'), d, f),
      };
    }),
    postNorm: norm(naming.postNorm),
    softNorm: find(`${naming.softNorm}.weight`, [d]),
    softNormAdd: naming.softNormAdd,
    projection: find(naming.projection, [d, textWidth]),
  };
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    throw bad(`${missing.length} tensors of the vision tower are missing: ${missing.slice(0, 3).join(', ')}${more}`);
  }
  if (tensors?.has(`${naming.layer(layers)}${naming.parts.norm1}.weight`)) throw bad(`its vision tower has more layers than the ${layers} of its config`);
  return places;
}

export interface LoadedVision {
  readonly weights: VisionWeights;
  /** Buffers to give back with `Device.destroyBuffer`. */
  readonly buffers: readonly DeviceBuffer[];
}

/**
 * Loads the tower and the projector, matrices as they are stored: it is
 * small beside its text model, and its widths do not divide into blocks.
 * Errors: LodestoneError(badModel), LodestoneError(outOfMemory); the signal's reason.
 */
export async function loadVisionWeights(device: Device, places: VisionPlaces, signal?: AbortSignal): Promise<LoadedVision> {
  const loader = new WeightLoader(device, signal);
  const vector = (entry: TensorEntry, add = 0): Promise<View> => loader.vector(entry, add);
  const matrix = (place: MatrixPlace): Promise<Weight> => loader.matrix(place, place.format);
  const linear = async ({ weight, bias }: LinearPlace): Promise<Linear> => ({ weight: await matrix(weight), bias: await vector(bias) });
  const norm = async ({ gain, bias }: NormPlace): Promise<LayerNorm> => ({ gain: await vector(gain), bias: await vector(bias) });
  try {
    const layers: VisionLayer[] = [];
    for (const layer of places.layers) {
      layers.push({
        norm1: await norm(layer.norm1),
        q: await linear(layer.q),
        k: await linear(layer.k),
        v: await linear(layer.v),
        o: await linear(layer.o),
        norm2: await norm(layer.norm2),
        fc1: await linear(layer.fc1),
        fc2: await linear(layer.fc2),
      });
    }
    const weights: VisionWeights = {
      patch: await linear(places.patch),
      positions: await vector(places.positions),
      layers,
      postNorm: await norm(places.postNorm),
      softNorm: await vector(places.softNorm, places.softNormAdd),
      projection: await loadProjection(device, places.projection),
    };
    return { weights, buffers: loader.buffers };
  } catch (error) {
    loader.close();
    throw error;
  }
}

/** The projection is stored [inputs, outputs]; a product wants [outputs, inputs]. */
async function loadProjection(device: Device, entry: TensorEntry): Promise<Weight> {
  const [inputs, outputs] = entry.shape as readonly [number, number];
  const stored = await readTensorF32(entry);
  const turned = new Float32Array(stored.length);
  for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) turned[o * inputs + i] = stored[i * outputs + o]!;
  return device.loadWeight({ label: entry.name, format: 'f32', outputs, inputs, data: { memory: new Uint8Array(turned.buffer) } });
}

/** All tensors of the tower and the projector. */
export function visionTensors({ patch, positions, layers, postNorm, softNorm, projection }: VisionPlaces): TensorEntry[] {
  const ofPlace = (place: LinearPlace | NormPlace): TensorEntry[] => ('gain' in place ? [place.gain, place.bias] : [place.weight.entry, place.bias]);
  return [patch, postNorm, ...layers.flatMap((layer): (LinearPlace | NormPlace)[] => Object.values(layer))].flatMap(ofPlace).concat(positions, softNorm, projection);
}

/** Bytes of everything that `loadVisionWeights` loads. */
export function visionBytes({ patch, positions, layers, postNorm, softNorm, projection }: VisionPlaces): number {
  const f32 = Float32Array.BYTES_PER_ELEMENT;
  const elements = ({ shape }: TensorEntry): number => shape.reduce((product, size) => product * size, 1);
  const ofPlace = (place: LinearPlace | NormPlace): number =>
    'gain' in place
      ? (elements(place.gain) + elements(place.bias)) * f32
      : storedBytes(place.weight.format, place.weight.outputs * place.weight.inputs) + elements(place.bias) * f32;
  const linears = [patch, postNorm, ...layers.flatMap((layer): (LinearPlace | NormPlace)[] => Object.values(layer))];
  return linears.reduce((sum, place) => sum + ofPlace(place), [positions, softNorm, projection].reduce((sum, entry) => sum + elements(entry) * f32, 0));
}
