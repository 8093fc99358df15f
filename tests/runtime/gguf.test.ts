/** GGUF files read and run, against the logits that llama.cpp and transformers computed from the same files. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask } from '../../src/answer/ask.js';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { ExitCode } from '../../src/errors.js';
import { Context } from '../../src/runtime/context.js';
import { openModel, openModelFiles } from '../../src/runtime/model.js';
import { quantizeBlocks, storedBytes } from '../../src/weights/blocks.js';
import { q5ToQ8, unpackValues } from '../../src/weights/packed.js';
import { packedFormats, randomFloats, randomPacked } from '../device/cases.js';
import { ggmlTypes, ggufFile, readGgufFile, tensorsOf, type GgufTensorData } from '../weights/gguf-files.js';
import { exactKv, fixtureDir, largestDifference, withTempDir, workingDevices, type TestModel } from './fixture.js';

type Column = `${'bf16' | 'q8_0' | 'q4_0'}_${'hf' | 'llama'}` | 'f32_llama';
type Golden = { readonly ids: number[]; readonly positions: number[] } & Readonly<Record<Column, number[][]>>;
const golden = JSON.parse(readFileSync(join(fixtureDir, 'gguf-golden.json'), 'utf8')) as Golden;
const fixture = (name: string): string => join(fixtureDir, `${name}.gguf`);
const devices = await workingDevices();

/** Logits at the golden positions, in chunks of 9. */
async function logitsOf(model: TestModel, ids = golden.ids): Promise<Float32Array[]> {
  const context = new Context(model, { chunk: 9, kv: exactKv });
  const out: Float32Array[] = [];
  for (const position of golden.positions) out.push((await context.prefill(ids.slice(context.length, position + 1))).slice());
  context.close();
  return out;
}

function worst(got: readonly Float32Array[], wanted: readonly ArrayLike<number>[]): number {
  return Math.max(...got.map((logits, i) => largestDifference(logits, wanted[i]!)));
}

describe.each(devices)('$name device', ({ create, tolerance }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  // The products of llama.cpp and ours quantise activations, transformers' do not: that is the difference to both.
  it.each([
    ['bf16', 'bf16', tolerance, 0.1],
    ['q8_0', 'q8_0', 0.4, 0.4],
    ['q4_0', 'q4_0', 0.4, 0.4],
  ] as const)('%s: near the golden logits', async (name, quantization, nearHf, nearLlama) => {
    const model = await openModel(fixture(name), device);
    expect([model.id, model.quantization, model.weightFiles]).toEqual([name, quantization, [fixture(name)]]);
    const logits = await logitsOf(model);
    expect(worst(logits, golden[`${name}_hf`])).toBeLessThan(nearHf);
    expect(worst(logits, golden[`${name}_llama`])).toBeLessThan(nearLlama);
  });

  it.each(['bf16', 'q8_0', 'q4_0'] as const)('%s widened to F32: the golden logits of transformers', async (name) => {
    await withTempDir(async (dir) => {
      const { gguf, metadata } = await readGgufFile(fixture(name));
      const path = join(dir, 'wide.GGUF');
      writeFileSync(path, ggufFile(metadata, tensorsOf(gguf, true)));
      const model = await openModel(path, device);
      expect(model.quantization).toBe('f32');
      const logits = await logitsOf(model);
      expect(worst(logits, golden[`${name}_hf`])).toBeLessThan(tolerance);
      if (name === 'bf16') expect(worst(logits, golden.f32_llama)).toBeLessThan(5e-3);
    });
  });

  it('bf16 quantised while loading gives the bits of the quantised file', async () => {
    // Its q8_0 file was made of the same bf16 weights by gguf-py.
    const [loaded, stored] = [await openModel(fixture('bf16'), device, { quantize: 'q8_0' }), await openModel(fixture('q8_0'), device)];
    expect(await logitsOf(loaded)).toEqual(await logitsOf(stored));
  });
});

/** A model of width 256, so that it may have K formats, with these bytes for matrices. */
async function wideModel(dir: string, name: string, matrix: (elements: number, seed: number) => { type: number; bytes: Uint8Array }): Promise<string> {
  const { metadata } = await readGgufFile(fixture('bf16'));
  const [d, f, heads, kvHeads, headDim, vocabulary, layers] = [256, 256, 2, 1, 128, 512, 2];
  const tensors: Record<string, GgufTensorData> = {};
  let seed = 1;
  const add = (tensor: string, inputs: number, outputs: number): void => {
    const { type, bytes } = matrix(inputs * outputs, seed++);
    tensors[tensor] = { sizes: [inputs, outputs], type, bytes };
  };
  const gain = (tensor: string, width: number): void => {
    tensors[tensor] = { sizes: [width], type: ggmlTypes.F32, bytes: new Uint8Array(randomFloats(width, seed++, 0.5).map((w) => 1 + w).buffer) };
  };
  add('token_embd.weight', d, vocabulary);
  for (let l = 0; l < layers; l++) {
    for (const norm of ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm']) gain(`blk.${l}.${norm}.weight`, d);
    for (const norm of ['attn_q_norm', 'attn_k_norm']) gain(`blk.${l}.${norm}.weight`, headDim);
    add(`blk.${l}.attn_q.weight`, d, heads * headDim);
    for (const part of ['attn_k', 'attn_v']) add(`blk.${l}.${part}.weight`, d, kvHeads * headDim);
    add(`blk.${l}.attn_output.weight`, heads * headDim, d);
    for (const part of ['ffn_gate', 'ffn_up']) add(`blk.${l}.${part}.weight`, d, f);
    add(`blk.${l}.ffn_down.weight`, f, d);
  }
  gain('output_norm.weight', d);
  const sizes = { embedding_length: d, feed_forward_length: f, block_count: layers, 'attention.head_count': heads, 'attention.head_count_kv': kvHeads, 'attention.key_length': headDim, 'attention.value_length': headDim };
  const path = join(dir, `${name}.gguf`);
  writeFileSync(path, ggufFile({ ...metadata, ...Object.fromEntries(Object.entries(sizes).map(([key, u32]) => [`gemma3.${key}`, { u32 }])) }, tensors));
  return path;
}

describe.each(devices)('packed formats on the $name device', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  it.each(packedFormats)('%s runs as what it unpacks to', async (format) => {
    await withTempDir(async (dir) => {
      const type = ggmlTypes[format.toUpperCase() as keyof typeof ggmlTypes];
      const packed = await wideModel(dir, 'packed', (elements, seed) => ({ type, bytes: randomPacked(format, elements, seed) }));
      const values = (elements: number, seed: number): Float32Array => unpackValues(format, randomPacked(format, elements, seed));
      const wide = await wideModel(dir, 'wide', (elements, seed) => ({ type: ggmlTypes.F32, bytes: new Uint8Array(values(elements, seed).buffer) }));
      const model = await openModel(packed, device);
      const logits = await logitsOf(model);
      expect(model.quantization).toBe(format);
      // On the device as in the file, to the byte.
      if (device.name === 'cpu') expect(model.weights.layers[0]!.gate.bytes).toBe(0);
      const exact = await logitsOf(await openModel(wide, device));
      const largest = Math.max(...exact[4]!.map(Math.abs));
      // What is rounded is the activations, to int8.
      expect(worst(logits, exact) / largest).toBeLessThan(3e-2);
      expect(worst(logits, exact)).toBeGreaterThan(0);
      if (format === 'q5_0') {
        // The same scales and integers as q8_0 blocks.
        const same = await wideModel(dir, 'same', (elements, seed) => ({ type: ggmlTypes.Q8_0, bytes: q5ToQ8(randomPacked(format, elements, seed)) }));
        expect(logits).toEqual(await logitsOf(await openModel(same, device)));
      }
      // Less memory where it is asked for: the values quantised as ggml does.
      const small = await openModel(packed, device, { quantize: 'q4_0' });
      expect(small.quantization).toBe('q4_0');
      const again = await wideModel(dir, 'again', (elements, seed) => ({ type: ggmlTypes.Q4_0, bytes: quantizeBlocks('q4_0', values(elements, seed)) }));
      expect(await logitsOf(small)).toEqual(await logitsOf(await openModel(again, device)));
    });
  });
});

it('counts the bytes of a mixed file as the device will hold them', async () => {
  await withTempDir(async (dir) => {
    let count = 0;
    const path = await wideModel(dir, 'mixed', (elements, seed) => {
      const format = count++ === 0 ? 'q6_k' : count % 2 === 0 ? 'q4_k' : 'q5_0';
      return { type: ggmlTypes[format.toUpperCase() as keyof typeof ggmlTypes], bytes: randomPacked(format, elements, seed) };
    });
    const { places } = await openModelFiles(path);
    const model = await openModel(path, createReferenceDevice());
    expect(model.quantization).toBe('q4_k+q5_0+q6_k');
    let bytes = 2 * (4 * 256 + 2 * 128) * 4 + 256 * 4;
    for (const place of [places.embedding, ...places.layers.flatMap(({ q, k, v, o, gate, up, down }) => [q, k, v, o, gate, up, down])]) {
      bytes += storedBytes(place.format, place.outputs * place.inputs);
    }
    expect(model.weightBytes).toBe(bytes);
  });
});

it('answers from a GGUF file, to the end', async () => {
  await withTempDir(async (dir) => {
    const { gguf, metadata } = await readGgufFile(fixture('q4_0'));
    const modelDir = join(dir, 'tiny-q4_0.gguf');
    writeFileSync(modelDir, ggufFile({ ...metadata, 'gemma3.context_length': { u32: 4096 } }, tensorsOf(gguf)));
    const note = join(dir, 'note.txt');
    writeFileSync(note, 'The harbour fee is nine crowns.\n');
    const device = await devices.at(-1)!.create();
    const request = { question: 'How much?', paths: [note], modelDir, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 3, chunk: 512, looks: 0, hashWeights: true } as const;
    const { model, tokens, finish } = await ask(request, device, new AbortController().signal, () => undefined);
    await device.close();
    const sha256 = createHash('sha256').update(readFileSync(modelDir)).digest('hex');
    expect(model).toMatchObject({ id: 'tiny-q4_0', sha256, quantization: 'q4_0', context: 4096 });
    expect([tokens.generated <= 3, ['stop', 'length'].includes(finish)]).toEqual([true, true]);
  });
});

it.each([
  ['nowhere.gguf', /nowhere\.gguf: no such file$/],
  ['model.bin', /model\.bin: is not a model directory, and not a \.gguf file$/],
  ['damaged.gguf', /damaged\.gguf: is not a GGUF file$/],
])('%s is refused with one line', async (name, message) => {
  await withTempDir(async (dir) => {
    writeFileSync(join(dir, 'model.bin'), '');
    writeFileSync(join(dir, 'damaged.gguf'), 'PK');
    await expect(openModelFiles(join(dir, name))).rejects.toThrow(message);
    await expect(openModelFiles(join(dir, name))).rejects.toMatchObject({ exitCode: ExitCode.badModel });
  });
});
