/** Tensors of a Whisper checkpoint, by name -> weights on the device. */
import type { Device, DeviceBuffer, View, Weight, WeightFormat } from '../device/device.js';
import type { LayerNorm, Linear } from '../gemma/vision-graph.js';
import { WeightLoader } from '../gemma/weight-loader.js';
import { badFile } from '../weights/errors.js';
import { readTensorF32 } from '../weights/read.js';
import type { Checkpoint, TensorEntry } from '../weights/safetensors.js';
import type { SpeechConfig } from './config.js';

export interface AttentionWeights {
  readonly norm: LayerNorm;
  readonly q: Linear;
  /** Keys have no bias. */
  readonly k: Weight;
  readonly v: Linear;
  readonly o: Linear;
}

export interface MlpWeights {
  readonly norm: LayerNorm;
  readonly up: Linear;
  readonly down: Linear;
}

export interface SpeechWeights {
  /** Convolutions of three taps, [outputs, taps * inputs]: along the bands' time, then halving it. */
  readonly conv1: Linear;
  readonly conv2: Linear;
  /** [sourcePositions, width] */
  readonly encoderPositions: View;
  readonly encoder: readonly { readonly self: AttentionWeights; readonly mlp: MlpWeights }[];
  readonly encoderNorm: LayerNorm;
  /** [vocabSize, width]; also what the logits are made with. */
  readonly tokens: Weight;
  /** [targetPositions, width] */
  readonly decoderPositions: View;
  readonly decoder: readonly { readonly self: AttentionWeights; readonly cross: AttentionWeights; readonly mlp: MlpWeights }[];
  readonly decoderNorm: LayerNorm;
}

export interface LoadedSpeech {
  readonly weights: SpeechWeights;
  /** Buffers to give back with `Device.destroyBuffer`. */
  readonly buffers: readonly DeviceBuffer[];
}

const formats: Readonly<Record<string, WeightFormat>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/** Taps of both convolutions. */
export const taps = 3;

/** Every tensor of a checkpoint, without its prefix -> its shape. The names are those of transformers' `modeling_whisper.py`. */
function tensorShapes(config: SpeechConfig): Map<string, readonly number[]> {
  const { width } = config;
  const shapes = new Map<string, readonly number[]>();
  const linear = (name: string, outputs: number, inputs: number, bias = true): void => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  const norm = (name: string): void => {
    for (const part of ['weight', 'bias']) shapes.set(`${name}.${part}`, [width]);
  };
  const attention = (name: string): void => {
    norm(`${name}_layer_norm`);
    for (const part of ['q', 'k', 'v', 'out']) linear(`${name}.${part}_proj`, width, width, part !== 'k');
  };
  const mlp = (layer: string, hidden: number): void => {
    norm(`${layer}.final_layer_norm`);
    linear(`${layer}.fc1`, hidden, width);
    linear(`${layer}.fc2`, width, hidden);
  };
  for (const [name, inputs] of [['conv1', config.melBands], ['conv2', width]] as const) {
    shapes.set(`encoder.${name}.weight`, [width, inputs, taps]);
    shapes.set(`encoder.${name}.bias`, [width]);
  }
  shapes.set('encoder.embed_positions.weight', [config.sourcePositions, width]);
  for (let i = 0; i < config.encoderLayers; i++) {
    attention(`encoder.layers.${i}.self_attn`);
    mlp(`encoder.layers.${i}`, config.encoderHidden);
  }
  norm('encoder.layer_norm');
  shapes.set('decoder.embed_tokens.weight', [config.vocabSize, width]);
  shapes.set('decoder.embed_positions.weight', [config.targetPositions, width]);
  for (let i = 0; i < config.decoderLayers; i++) {
    for (const kind of ['self_attn', 'encoder_attn']) attention(`decoder.layers.${i}.${kind}`);
    mlp(`decoder.layers.${i}`, config.decoderHidden);
  }
  norm('decoder.layer_norm');
  return shapes;
}

/**
 * Checks that every tensor is there, and as the config makes it.
 * @returns finds one of them by its name without the prefix
 * Errors: LodestoneError(badModel) that names the tensor.
 */
export function checkSpeechTensors({ tensors, files }: Checkpoint, config: SpeechConfig): (name: string) => TensorEntry {
  const prefix = tensors.has('model.encoder.conv1.weight') ? 'model.' : '';
  for (const [name, shape] of tensorShapes(config)) {
    const entry = tensors.get(prefix + name);
    if (!entry) throw badFile(files[0] ?? 'checkpoint', `tensor ${prefix}${name} is missing`);
    if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
      throw badFile(entry.path, `tensor ${entry.name} is [${entry.shape.join(', ')}], but the config makes it [${shape.join(', ')}]`);
    }
    if (shape.length === 2 && !Object.hasOwn(formats, entry.dtype)) {
      throw badFile(entry.path, `tensor ${entry.name} is ${entry.dtype}; a speech model's matrices must be ${Object.keys(formats).join(', ')}`);
    }
  }
  return (name) => tensors.get(prefix + name)!;
}

/** Errors: LodestoneError(badModel) that names the tensor, LodestoneError(outOfMemory); the signal's reason. */
export async function loadSpeechWeights(device: Device, checkpoint: Checkpoint, config: SpeechConfig, signal?: AbortSignal): Promise<LoadedSpeech> {
  const find = checkSpeechTensors(checkpoint, config);
  const loader = new WeightLoader(device, signal);
  const matrix = (name: string): Promise<Weight> => {
    const entry = find(`${name}.weight`);
    const [outputs, inputs] = entry.shape as readonly [number, number];
    const format = formats[entry.dtype]!;
    return loader.matrix({ entry, format, outputs, inputs }, format);
  };
  const linear = async (name: string): Promise<Linear> => ({ weight: await matrix(name), bias: await loader.vector(find(`${name}.bias`)) });
  const norm = async (name: string): Promise<LayerNorm> => ({ gain: await loader.vector(find(`${name}.weight`)), bias: await loader.vector(find(`${name}.bias`)) });
  const attention = async (name: string): Promise<AttentionWeights> => ({
    norm: await norm(`${name}_layer_norm`),
    q: await linear(`${name}.q_proj`),
    k: await matrix(`${name}.k_proj`),
    v: await linear(`${name}.v_proj`),
    o: await linear(`${name}.out_proj`),
  });
  const mlp = async (layer: string): Promise<MlpWeights> => ({
    norm: await norm(`${layer}.final_layer_norm`),
    up: await linear(`${layer}.fc1`),
    down: await linear(`${layer}.fc2`),
  });
  const convolution = async (name: string): Promise<Linear> => ({
    weight: await loadConvolution(device, find(`${name}.weight`)),
    bias: await loader.vector(find(`${name}.bias`)),
  });
  try {
    const encoder: SpeechWeights['encoder'][number][] = [];
    for (let i = 0; i < config.encoderLayers; i++) {
      const layer = `encoder.layers.${i}`;
      encoder.push({ self: await attention(`${layer}.self_attn`), mlp: await mlp(layer) });
    }
    const decoder: SpeechWeights['decoder'][number][] = [];
    for (let i = 0; i < config.decoderLayers; i++) {
      const layer = `decoder.layers.${i}`;
      decoder.push({ self: await attention(`${layer}.self_attn`), cross: await attention(`${layer}.encoder_attn`), mlp: await mlp(layer) });
    }
    const weights: SpeechWeights = {
      conv1: await convolution('encoder.conv1'),
      conv2: await convolution('encoder.conv2'),
      encoderPositions: await loader.vector(find('encoder.embed_positions.weight')),
      encoder,
      encoderNorm: await norm('encoder.layer_norm'),
      tokens: await matrix('decoder.embed_tokens'),
      decoderPositions: await loader.vector(find('decoder.embed_positions.weight')),
      decoder,
      decoderNorm: await norm('decoder.layer_norm'),
    };
    return { weights, buffers: loader.buffers };
  } catch (error) {
    loader.close();
    throw error;
  }
}

/** Stored [outputs, inputs, taps]; `unfold` lays the inputs of each tap side by side. */
async function loadConvolution(device: Device, entry: TensorEntry): Promise<Weight> {
  const [outputs, inputs] = entry.shape as readonly [number, number, number];
  const stored = await readTensorF32(entry);
  const turned = new Float32Array(stored.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) for (let tap = 0; tap < taps; tap++) turned[(o * taps + tap) * inputs + i] = stored[(o * inputs + i) * taps + tap]!;
  }
  return device.loadWeight({ label: entry.name, format: 'f32', outputs, inputs: inputs * taps, data: { memory: new Uint8Array(turned.buffer) } });
}
