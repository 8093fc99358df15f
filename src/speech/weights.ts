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

/** Errors: LodestoneError(badModel) that names the tensor, LodestoneError(outOfMemory); the signal's reason. */
export async function loadSpeechWeights(device: Device, { tensors, files }: Checkpoint, config: SpeechConfig, signal?: AbortSignal): Promise<LoadedSpeech> {
  const prefix = tensors.has('model.encoder.conv1.weight') ? 'model.' : '';
  const loader = new WeightLoader(device, signal);
  const find = (name: string, ...shape: number[]): TensorEntry => {
    const entry = tensors.get(prefix + name);
    if (!entry) throw badFile(files[0] ?? 'checkpoint', `tensor ${prefix}${name} is missing`);
    if (entry.shape.length !== shape.length || entry.shape.some((size, i) => size !== shape[i])) {
      throw badFile(entry.path, `tensor ${entry.name} is [${entry.shape.join(', ')}], but the config makes it [${shape.join(', ')}]`);
    }
    return entry;
  };
  const matrix = (name: string, outputs: number, inputs: number): Promise<Weight> => {
    const entry = find(`${name}.weight`, outputs, inputs);
    const format = formats[entry.dtype];
    if (!format) throw badFile(entry.path, `tensor ${entry.name} is ${entry.dtype}; a speech model's matrices must be ${Object.keys(formats).join(', ')}`);
    return loader.matrix({ entry, format, outputs, inputs }, format);
  };
  const linear = async (name: string, outputs: number, inputs: number): Promise<Linear> => ({
    weight: await matrix(name, outputs, inputs),
    bias: await loader.vector(find(`${name}.bias`, outputs)),
  });
  const { width } = config;
  const norm = async (name: string): Promise<LayerNorm> => ({ gain: await loader.vector(find(`${name}.weight`, width)), bias: await loader.vector(find(`${name}.bias`, width)) });
  const attention = async (name: string): Promise<AttentionWeights> => ({
    norm: await norm(`${name}_layer_norm`),
    q: await linear(`${name}.q_proj`, width, width),
    k: await matrix(`${name}.k_proj`, width, width),
    v: await linear(`${name}.v_proj`, width, width),
    o: await linear(`${name}.out_proj`, width, width),
  });
  const mlp = async (layer: string, hidden: number): Promise<MlpWeights> => ({
    norm: await norm(`${layer}.final_layer_norm`),
    up: await linear(`${layer}.fc1`, hidden, width),
    down: await linear(`${layer}.fc2`, width, hidden),
  });
  const convolution = async (name: string, inputs: number): Promise<Linear> => ({
    weight: await loadConvolution(device, find(`${name}.weight`, width, inputs, taps)),
    bias: await loader.vector(find(`${name}.bias`, width)),
  });
  try {
    const encoder: SpeechWeights['encoder'][number][] = [];
    for (let i = 0; i < config.encoderLayers; i++) {
      const layer = `encoder.layers.${i}`;
      encoder.push({ self: await attention(`${layer}.self_attn`), mlp: await mlp(layer, config.encoderHidden) });
    }
    const decoder: SpeechWeights['decoder'][number][] = [];
    for (let i = 0; i < config.decoderLayers; i++) {
      const layer = `decoder.layers.${i}`;
      decoder.push({ self: await attention(`${layer}.self_attn`), cross: await attention(`${layer}.encoder_attn`), mlp: await mlp(layer, config.decoderHidden) });
    }
    const weights: SpeechWeights = {
      conv1: await convolution('encoder.conv1', config.melBands),
      conv2: await convolution('encoder.conv2', width),
      encoderPositions: await loader.vector(find('encoder.embed_positions.weight', config.sourcePositions, width)),
      encoder,
      encoderNorm: await norm('encoder.layer_norm'),
      tokens: await matrix('decoder.embed_tokens', config.vocabSize, width),
      decoderPositions: await loader.vector(find('decoder.embed_positions.weight', config.targetPositions, width)),
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
