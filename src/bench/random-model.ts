/** Gemma 3 models of the published shapes with random weights: speed does not depend on their values. */
import type { Device, DeviceBuffer, View, Weight } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';
import type { GemmaWeights } from '../gemma/weights.js';
import { layouts, storedBytes, type BlockFormat } from '../weights/blocks.js';

export interface Shape {
  readonly name: string;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly window: number;
}

export const gemma270m: Shape = {
  name: 'Gemma 3 270M',
  layers: 18,
  hiddenSize: 640,
  intermediateSize: 2048,
  heads: 4,
  kvHeads: 1,
  headDim: 256,
  vocabSize: 262_144,
  window: 512,
};

export const gemma1b: Shape = {
  name: 'Gemma 3 1B',
  layers: 26,
  hiddenSize: 1152,
  intermediateSize: 6912,
  heads: 4,
  kvHeads: 1,
  headDim: 256,
  vocabSize: 262_144,
  window: 512,
};

export const gemma4b: Shape = {
  name: 'Gemma 3 4B',
  layers: 34,
  hiddenSize: 2560,
  intermediateSize: 10_240,
  heads: 8,
  kvHeads: 4,
  headDim: 256,
  vocabSize: 262_144,
  window: 1024,
};

export const gemma12b: Shape = {
  name: 'Gemma 3 12B',
  layers: 48,
  hiddenSize: 3840,
  intermediateSize: 15_360,
  heads: 16,
  kvHeads: 8,
  headDim: 256,
  vocabSize: 262_144,
  window: 1024,
};

/** Of no published model: small enough for a driver that computes on the processor. */
export const toyShape: Shape = {
  name: 'toy',
  layers: 6,
  hiddenSize: 128,
  intermediateSize: 256,
  heads: 2,
  kvHeads: 1,
  headDim: 64,
  vocabSize: 1024,
  window: 512,
};

export interface RandomModel {
  readonly device: Device;
  readonly config: GemmaConfig;
  readonly weights: GemmaWeights;
}

/** A matrix like another one, in memory of its own. */
type CopyWeight = (weight: Weight) => Promise<Weight>;

/**
 * The embedding is q8_0 where the matrices are in blocks, as in GGUF files.
 * @param copy of a device that copies faster than it loads: matrices of one size are then loaded once
 */
export async function randomModel(device: Device, shape: Shape, format: RandomFormat, copy?: CopyWeight): Promise<RandomModel> {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, vocabSize } = shape;
  const buffers: DeviceBuffer[] = [];
  const gain = (width: number): View => {
    const buffer = device.createBuffer(width * 4, 'gain');
    device.write({ buffer, offset: 0 }, new Float32Array(width).fill(1));
    buffers.push(buffer);
    return { buffer, offset: 0 };
  };
  const loaded = new Map<string, Weight>();
  const matrix = async (outputs: number, inputs: number, as: RandomFormat = format): Promise<Weight> => {
    const known = copy && loaded.get(`${outputs} ${inputs}`);
    if (known) return copy(known);
    const weight = await device.loadWeight({ label: 'random', format: as, outputs, inputs, data: { memory: randomWeights(as, outputs * inputs) } });
    loaded.set(`${outputs} ${inputs}`, weight);
    return weight;
  };
  const layers: GemmaWeights['layers'][number][] = [];
  for (let l = 0; l < shape.layers; l++) {
    layers.push({
      inputNorm: gain(d),
      q: await matrix(heads * headDim, d),
      k: await matrix(kvHeads * headDim, d),
      v: await matrix(kvHeads * headDim, d),
      o: await matrix(d, heads * headDim),
      qNorm: gain(headDim),
      kNorm: gain(headDim),
      logScale: null,
      postAttentionNorm: gain(d),
      preFeedforwardNorm: gain(d),
      gate: await matrix(f, d),
      up: await matrix(f, d),
      down: await matrix(d, f),
      postFeedforwardNorm: gain(d),
    });
  }
  const embedding = await matrix(vocabSize, d, format === 'bf16' ? 'bf16' : 'q8_0');
  const bytes = layers.reduce(
    (sum, { q, k, v, o, gate, up, down }) => sum + [q, k, v, o, gate, up, down].reduce((part, weight) => part + weight.bytes, 0),
    embedding.bytes,
  );
  return {
    device,
    config: {
      ...shape,
      layers: Array.from({ length: shape.layers }, (_, l) => ({ kind: (l + 1) % 6 === 0 ? 'global' : 'local' })),
      scale: headDim ** -0.5,
      ropeLocalBase: 1e4,
      ropeGlobal: { base: 1e6, factor: 1 },
      globalLogScale: false,
      looksBothWays: false,
      eps: 1e-6,
      maxPositions: 131_072,
      embedScale: Math.sqrt(d),
      isGemma: true,
      eosIds: [1],
      prompt: 'gemma-chat',
      vision: null,
    },
    weights: { embedding, embedScale: Math.sqrt(d), head: embedding, layers, finalNorm: gain(d), quantization: format, bytes, buffers },
  };
}

/** Formats that random models come in. */
export type RandomFormat = BlockFormat | 'bf16';

function randomWeights(format: RandomFormat, elements: number): Uint8Array {
  if (format !== 'bf16') return randomBlocks(format, elements);
  // Signs and fractions at random, magnitudes between 2^-6 and 2^-5.
  const pattern = randomBlocks('q8_0', 2 ** 16);
  const words = new Uint16Array(elements);
  const block = Uint16Array.from({ length: 2 ** 15 }, (_, i) => ((pattern[2 * i]! << 8) & 0x8000) | 0x3c80 | (pattern[2 * i + 1]! & 0x7f));
  for (let at = 0; at < elements; at += block.length) words.set(block.subarray(0, elements - at), at);
  return new Uint8Array(words.buffer);
}

/** GGUF blocks with random quants and one small scale. */
export function randomBlocks(format: BlockFormat, elements: number): Uint8Array {
  const blockBytes = layouts[format].bytes;
  const bytes = new Uint8Array(storedBytes(format, elements));
  const pattern = new Uint32Array(blockBytes * 1024);
  let state = 1;
  for (let i = 0; i < pattern.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    pattern[i] = state ^ (state >>> 15);
  }
  const block = new Uint8Array(pattern.buffer);
  const scale = format === 'q8_0' ? 0x0d00 : 0x1d00; // f16: 0.0003, 0.005
  for (let at = 0; at < block.length; at += blockBytes) {
    block[at] = scale & 255;
    block[at + 1] = scale >> 8;
  }
  for (let at = 0; at < bytes.length; at += block.length) bytes.set(block.subarray(0, bytes.length - at), at);
  return bytes;
}
