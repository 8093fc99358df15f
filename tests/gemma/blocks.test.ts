/** Checkpoints whose matrices are blocks already: the same numbers as quantising while loading. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, planAsk } from '../../src/answer/ask.js';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { loadGemmaWeights } from '../../src/gemma/weights.js';
import { Context } from '../../src/runtime/context.js';
import { openConfig, openModel } from '../../src/runtime/model.js';
import type { BlockFormat } from '../../src/weights/blocks.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { fixtureDir, interruptedDevice, largestDifference, readGolden, tinyDir, withTempDir, workingDevices, type TestModel } from '../runtime/fixture.js';
import { quantizedTensor, readSafetensors, safetensorsFile, writeSafetensors } from '../weights/files.js';

type Choice = (name: string) => BlockFormat;
const isMatrix = /_proj|embed_tokens/;
/** As a small model may be stored: the table of words and what the global layer compares finely, the rest coarsely. */
const mixed: Choice = (name) => (/embed_tokens|layers\.5\.self_attn\.[qk]_proj/.test(name) ? 'q8_0' : 'q4_0');
const { ids } = readGolden();

/** A model directory like `from`, its matrices as blocks. */
function writeQuantized(from: string, dir: string, choose: Choice): void {
  for (const file of ['config.json', 'tokenizer.json']) copyFileSync(join(from, file), join(dir, file));
  const tensors = Object.entries(readSafetensors(join(from, 'model.safetensors')));
  const quantized = tensors.map(([name, tensor]) => [name, isMatrix.test(name) ? quantizedTensor(tensor, choose(name)) : tensor] as const);
  writeSafetensors(join(dir, 'model.safetensors'), Object.fromEntries(quantized));
}

/** All logits, in chunks of 9 and one by one. */
async function allLogits(model: TestModel): Promise<Float32Array[]> {
  const context = new Context(model, { chunk: 9 });
  const out = [await context.prefill(ids.slice(0, 20)).then((logits) => logits.slice())];
  for (const id of ids.slice(20)) out.push((await context.decode(id)).slice());
  context.close();
  return out;
}

/** The bf16 checkpoint, each matrix quantised by the device while it is loaded. */
async function quantizedWhileLoading(device: Device, choose: Choice): Promise<Float32Array[]> {
  const quantizing: Device = {
    ...interruptedDevice(device, Infinity, 0),
    loadWeight: (source) => device.loadWeight(source, choose(source.label)),
  };
  const config = await openConfig(fixtureDir);
  const weights = await loadGemmaWeights(quantizing, await openCheckpoint(fixtureDir), config);
  return allLogits({ device, config, weights });
}

const devices = await workingDevices();
describe.each(devices)('$name device', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  it.each<[string, Choice, string]>([
    ['q8_0', () => 'q8_0', 'q8_0'],
    ['q4_0', () => 'q4_0', 'q4_0'],
    ['both', mixed, 'q4_0+q8_0'],
  ])('%s in the file give the bits of quantising while loading', async (_, choose, quantization) => {
    await withTempDir(async (dir) => {
      writeQuantized(fixtureDir, dir, choose);
      const model = await openModel(dir, device);
      expect(model.quantization).toBe(quantization);
      const logits = await allLogits(model);
      expect(logits).toEqual(await quantizedWhileLoading(device, choose));
      // What is quantised already is not quantised again, whatever is asked for.
      const again = await openModel(dir, device, { quantize: 'q4_0' });
      expect([again.quantization, again.weightBytes]).toEqual([model.quantization, model.weightBytes]);
      expect(await allLogits(again)).toEqual(logits);
    });
  });

  it('an embedding and an output matrix of different formats are both read', async () => {
    await withTempDir(async (dir) => {
      writeQuantized(fixtureDir, dir, () => 'q8_0');
      const path = join(dir, 'model.safetensors');
      const tied = await allLogits(await openModel(dir, device));
      const dense = readSafetensors(join(fixtureDir, 'model.safetensors'));
      const tensors = Object.fromEntries(Object.entries(dense).map(([name, tensor]) => [name, isMatrix.test(name) ? quantizedTensor(tensor, 'q8_0') : tensor]));
      writeFileSync(path, safetensorsFile({ ...tensors, 'lm_head.weight': quantizedTensor(dense['model.embed_tokens.weight']!, 'q4_0') }));
      const untied = await allLogits(await openModel(dir, device));
      // Near the tied ones, and not the same: the head is coarser.
      expect(untied).not.toEqual(tied);
      expect(largestDifference(untied[0]!, tied[0]!)).toBeLessThan(4);
    });
  });
});

it('counts the bytes of blocks, with dense matrices among them', async () => {
  await withTempDir(async (dir) => {
    const dense = readSafetensors(join(fixtureDir, 'model.safetensors'));
    const name = 'model.embed_tokens.weight';
    for (const file of ['config.json', 'tokenizer.json']) copyFileSync(join(fixtureDir, file), join(dir, file));
    writeSafetensors(join(dir, 'model.safetensors'), { ...dense, [name]: quantizedTensor(dense[name]!, 'q4_0') });
    const matrices = 8 * (64 * 384 + 3 * 64 * 96);
    const gains = (8 * (4 * 64 + 2 * 32) + 64) * 4;
    const device = createReferenceDevice();
    for (const [quantize, quantization, bytes] of [
      ['none', 'bf16+q4_0', matrices * 2],
      ['q8_0', 'q8_0+q4_0', (matrices / 32) * 34],
      ['q4_0', 'q4_0', (matrices / 32) * 18],
    ] as const) {
      const model = await openModel(dir, device, { quantize });
      expect([model.quantization, model.weightBytes]).toEqual([quantization, bytes + ((512 * 64) / 32) * 18 + gains]);
    }
  });
});

it('refuses blocks whose shape is not the config\'s, and gains in blocks', async () => {
  const dense = readSafetensors(join(fixtureDir, 'model.safetensors'));
  const open = (tensors: Parameters<typeof writeSafetensors>[1]): Promise<unknown> =>
    withTempDir((dir) => {
      for (const file of ['config.json', 'tokenizer.json']) copyFileSync(join(fixtureDir, file), join(dir, file));
      writeSafetensors(join(dir, 'model.safetensors'), { ...dense, ...tensors });
      return openModel(dir, createReferenceDevice());
    });
  const name = 'model.layers.0.mlp.down_proj.weight';
  const q4 = quantizedTensor(dense[name]!, 'q4_0');
  await expect(open({ [name]: { ...q4, shape: [96, 36] } })).rejects.toThrow(/down_proj\.weight is \[96, 64\], but config\.json makes it \[64, 96\]/);
  const gain = quantizedTensor({ ...dense['model.norm.weight']!, shape: [1, 64] }, 'q8_0');
  await expect(open({ 'model.norm.weight': gain })).rejects.toThrow(/model\.norm\.weight is \[1, 64\], but config\.json makes it \[64\]/);
});

it('lodestone-tiny answers the same from blocks in its file as from blocks made while loading', async () => {
  const device = await devices.at(-1)!.create();
  const never = new AbortController().signal;
  await withTempDir(async (dir) => {
    writeQuantized(tinyDir, dir, () => 'q8_0');
    const file = join(dir, 'note.txt');
    writeFileSync(file, 'The bell was cast in 1822. The harbour fee at Pellan Quay is nine crowns. The mill burned down twice.\n');
    const request = { question: 'What is the harbour fee at Pellan Quay?', paths: [file], sampling: { temperature: 0 }, maxTokens: 16, chunk: 512, looks: 2 } as const;
    const answers = [];
    for (const options of [{ modelDir: dir, quantize: 'none' }, { modelDir: tinyDir, quantize: 'q8_0' }] as const) {
      const { answer, confidence, citations, readings, model } = await ask({ ...request, ...options }, device, never, () => undefined);
      const plan = await planAsk({ ...request, ...options }, device, never, () => undefined);
      answers.push({ answer, confidence, citations, readings, quantization: model.quantization, bytes: plan.model.weight_bytes, planned: plan.model.quantization });
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]).toMatchObject({ quantization: 'q8_0', planned: 'q8_0' });
  });
  await device.close();
});
