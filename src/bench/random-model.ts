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

export interface RandomModel {
  readonly device: Device;
  readonly config: GemmaConfig;
  readonly weights: GemmaWeights;
}

/** The embedding is q8_0 whatever the matrices are, as in GGUF files. */
export async function randomModel(device: Device, shape: Shape, format: BlockFormat): Promise<RandomModel> {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, vocabSize } = shape;
  const buffers: DeviceBuffer[] = [];
  const gain = (width: number): View => {
    const buffer = device.createBuffer(width * 4, 'gain');
    device.write({ buffer, offset: 0 }, new Float32Array(width).fill(1));
    buffers.push(buffer);
    return { buffer, offset: 0 };
  };
  const matrix = (outputs: number, inputs: number, as: BlockFormat = format): Promise<Weight> =>
    device.loadWeight({ label: 'random', format: as, outputs, inputs, data: { memory: randomBlocks(as, outputs * inputs) } });
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
  const embedding = await matrix(vocabSize, d, 'q8_0');
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
