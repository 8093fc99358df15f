/**
 * The same GGUF file of random weights, read by us and by llama.cpp: do they say the same? Layers of the published shapes,
 * fewer of them and with a smaller vocabulary, so that it takes minutes: the first seven, whose sixth is global.
 */
import { existsSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device, WeightFormat } from '../device/device.js';
import { createRandom, seedOf } from '../random.js';
import { Context } from '../runtime/context.js';
import type { KvFormats } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { dequantizeBlocks, isBlockFormat, quantizeBlocks } from '../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../weights/half.js';
import { compareLogits, type Agreement } from './agreement.js';
import { startPeer } from './peer.js';
import { elementsOf, writeRandomGguf, type RandomTensor } from './random-gguf.js';
import type { Shape } from './random-model.js';

export const agreeFormats: readonly WeightFormat[] = ['f32', 'bf16', 'f16', 'q8_0', 'q4_0'];

/** Past two windows of 512. */
export const agreePositions = 1280;

export function agreeShape(shape: Shape): Shape {
  return { ...shape, name: `${shape.name}, 7 layers, 4,096 tokens`, layers: 7, vocabSize: 4096 };
}

/**
 * Uniform weights of variance 1 / inputs. The gains are such that no part decides alone: branches add more than the
 * embedding, or the likeliest token would be the one just read; queries and keys make attention uneven.
 */
function tensorValues({ name, shape }: RandomTensor): Float32Array {
  const values = new Float32Array(elementsOf(shape));
  let state = seedOf('agree', name);
  const uniform = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state >>> 8) / 2 ** 24;
  };
  if (shape.length === 1) {
    const centre = name.includes('post_') ? 2 : /q_norm|k_norm/.test(name) ? 1.4 : name.startsWith('output_norm') ? 3 : 1;
    return values.map(() => centre * (0.75 + uniform() / 2));
  }
  const width = Math.sqrt(12 / shape[0]!);
  for (let i = 0; i < values.length; i++) values[i] = (uniform() - 0.5) * width;
  return values;
}

function encode(format: WeightFormat, values: Float32Array): Uint8Array {
  if (format === 'f32') return new Uint8Array(values.buffer);
  if (isBlockFormat(format)) return quantizeBlocks(format, values);
  if (format === 'f16') return new Uint8Array(Uint16Array.from(values, f32ToF16).buffer);
  const bits = new Uint32Array(values.buffer);
  return new Uint8Array(Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16).buffer);
}

function decode(format: WeightFormat, bytes: Uint8Array): Float32Array {
  if (format === 'f32') return new Float32Array(bytes.buffer);
  if (isBlockFormat(format)) return dequantizeBlocks(format, bytes);
  return Float32Array.from(new Uint16Array(bytes.buffer), format === 'f16' ? f16ToF32 : bf16ToF32);
}

/** The logits after each token: the final states of one reading, through the output matrix. `kv`: by default as exact as the peer's in f32. */
export async function allLogits(model: Model, tokens: readonly number[], kv: KvFormats = { local: 'f32', global: 'f32' }): Promise<Float32Array[]> {
  const { device, weights, config } = model;
  const rows = 64;
  const x = device.createBuffer(rows * config.hiddenSize * 4, 'states');
  const out = device.createBuffer(rows * config.vocabSize * 4, 'logits of many positions');
  const context = new Context(model, { positions: tokens.length, kv });
  const states: Float32Array[] = [];
  await context.prefill(tokens, {
    logits: false,
    tap: (name, _start, values) => {
      if (name !== 'final') return;
      for (let at = 0; at < values.length; at += config.hiddenSize) states.push(values.slice(at, at + config.hiddenSize));
    },
  });
  context.close();
  const logits: Float32Array[] = [];
  for (let from = 0; from < states.length; from += rows) {
    const part = states.slice(from, from + rows);
    part.forEach((state, r) => device.write({ buffer: x, offset: r * state.byteLength }, state));
    await device.submit([{ op: 'matMul', x: { buffer: x, offset: 0 }, rows: part.length, parts: [{ weight: weights.head, out: { buffer: out, offset: 0 } }] }]);
    const bytes = await device.read({ buffer: out, offset: 0 }, part.length * config.vocabSize * 4);
    for (let r = 0; r < part.length; r++) logits.push(new Float32Array(bytes.buffer, r * config.vocabSize * 4, config.vocabSize));
  }
  device.destroyBuffer(x);
  device.destroyBuffer(out);
  return logits;
}

/** Ids of pieces, drawn from a seed. */
export function agreeTokens(count: number, vocabSize: number): number[] {
  const random = createRandom(1);
  return Array.from({ length: count }, (_, i) => (i === 0 ? 2 : 300 + Math.floor(random() * (vocabSize - 300))));
}

/** A file, written into the folder unless it is there. `widened`: the weights that `format` holds, as f32. */
export async function agreeFile(folder: string, name: string, shape: Shape, format: WeightFormat, widened: boolean): Promise<string> {
  const path = join(folder, `lodestone-agree-${name}-${format}${widened ? '-as-f32' : ''}.gguf`);
  if (existsSync(path)) return path;
  const dataOf = (tensor: RandomTensor): Uint8Array => {
    const values = tensorValues(tensor);
    if (!widened) return encode(tensor.type, values);
    const stored = tensor.name.startsWith('token_embd') && isBlockFormat(format) ? 'q8_0' : format;
    return encode('f32', tensor.shape.length === 1 ? values : decode(stored, encode(stored, values)));
  };
  await writeRandomGguf(`${path}.part`, shape, widened ? 'f32' : format, dataOf);
  await rename(`${path}.part`, path);
  return path;
}

/**
 * Our logits and the peer's, and both beside those of the same weights in f32: the peer rounds the activations that meet
 * f16, bf16 and quantised weights, we those that meet quantised ones, and a difference of two does not say whose it is.
 */
export interface FormatAgreement {
  readonly agreement: Agreement;
  /** null of f32 itself. */
  readonly exact: { readonly ours: Agreement; readonly peer: Agreement } | null;
}

async function readOurs(device: Device, path: string, tokens: readonly number[]): Promise<Float32Array[]> {
  const model = await openModel(path, device);
  try {
    return await allLogits(model, tokens);
  } finally {
    await model.close();
  }
}

/** @param folder where node-llama-cpp is installed, and the files of random weights are put */
export async function measureAgreement(
  device: Device & { readonly threads: number },
  folder: string,
  name: string,
  shape: Shape,
  format: WeightFormat,
): Promise<FormatAgreement> {
  const path = await agreeFile(folder, name, shape, format, false);
  const tokens = agreeTokens(agreePositions, shape.vocabSize);
  const ours = await readOurs(device, path, tokens);
  const peer = await startPeer(folder, path, device.threads, shape.vocabSize, { contextSize: agreePositions + 256, kv: 'f32' });
  let peers: Float32Array[];
  try {
    peers = await peer.logits(tokens);
  } finally {
    peer.close();
  }
  const agreement = compareLogits(ours, peers);
  if (format === 'f32') return { agreement, exact: null };
  const exact = await readOurs(device, await agreeFile(folder, name, shape, format, true), tokens);
  return { agreement, exact: { ours: compareLogits(ours, exact), peer: compareLogits(peers, exact) } };
}
