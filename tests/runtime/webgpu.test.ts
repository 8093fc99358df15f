/** The runtime on the WebGPU device, on whatever adapter there is: against golden values, and against the cpu device. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { selectDevice } from '../../src/device/select.js';
import { Context } from '../../src/runtime/context.js';
import { generate } from '../../src/runtime/generate.js';
import { openModel } from '../../src/runtime/model.js';
import type { KvFormats } from '../../src/runtime/kv.js';
import { openWebGpu, webgpuAvailable } from '../device/webgpu/adapter.js';
import { encodeImages, openImageModel, readImageGolden } from './image-fixture.js';
import { exactKv, kvChoices, largestDifference, openFixture, readGolden, someIds, tinyDir, type TestModel } from './fixture.js';

const golden = readGolden();
const vocab = 512;
const logitsAt = (position: number): number[] => golden.logits_f32.slice(position * vocab, (position + 1) * vocab);

async function logitsOf(model: TestModel, ids: readonly number[], chunk: number, kv: KvFormats = exactKv): Promise<Float32Array> {
  const context = new Context(model, { chunk, kv });
  try {
    return await context.prefill(ids);
  } finally {
    context.close();
  }
}

// A software driver that has not seen the kernels before takes a second or two to compile each.
describe.skipIf(!webgpuAvailable)('webgpu', { timeout: 300_000 }, () => {
  let device: Device;
  let model: TestModel;
  beforeAll(async () => {
    device = await openWebGpu();
    model = await openFixture(device);
  });
  afterAll(() => device.close());

  it.each([1, 7, 9, 40])('reproduces the golden logits, in chunks of %i', async (chunk) => {
    expect(largestDifference(await logitsOf(model, golden.ids, chunk), logitsAt(39))).toBeLessThan(1e-3);
  });

  it.each(kvChoices)('gives the same logits, bit for bit, for every chunk size: $local, $global', async (kv) => {
    const small = await openFixture(device, ['local', 'global', 'local', 'local']);
    const ids = someIds(75);
    const expected = await logitsOf(small, ids, 75, kv);
    for (const chunk of [1, 3, 8, 40]) expect(await logitsOf(small, ids, chunk, kv), `chunk ${chunk}`).toEqual(expected);
  });

  it.each([
    ['the most probable', 500, { temperature: 0 }],
    ['drawn with one seed', 60, { temperature: 1.2, topK: 64, topP: 0.95, seed: 11 }],
  ] as const)('reads and writes as the cpu device does: the embedded model, tokens %s, %i of them', async (_, maxTokens, sampling) => {
    const { ids } = JSON.parse(readFileSync(join(tinyDir, 'golden.json'), 'utf8')) as { ids: number[] };
    const { device: cpu } = await selectDevice('cpu');
    const texts = await Promise.all(
      [device, cpu].map(async (each) => {
        const tiny = await openModel(tinyDir, each);
        const context = new Context(tiny, { chunk: 64 });
        const text: number[] = [];
        for await (const { id } of generate(context, await context.prefill(ids), { sampling, maxTokens })) text.push(id);
        context.close();
        return text;
      }),
    );
    expect(texts[0]).toHaveLength(maxTokens);
    expect(texts[0]).toEqual(texts[1]);
    await cpu.close();
  });

  it('has pages of its own size, none larger than what is read, and the logits do not depend on it', async () => {
    const small = await openFixture(device, ['local', 'global', 'local']);
    const ids = someIds(40);
    const [short, long] = [100, undefined].map((positions) => new Context(small, { kv: exactKv, chunk: 40, ...(positions && { positions }) }));
    const logits = await short!.prefill(ids);
    expect(await long!.prefill(ids)).toEqual(logits);
    // The fixture's context is 512 positions: a page of 1024 in both.
    expect(long!.kvBytes).toBe(short!.kvBytes);
    const kept = long!.kvBytes;
    for (const context of [short, long]) context!.close();
    const longer = new Context({ ...small, config: { ...small.config, maxPositions: 2 ** 20 } }, { kv: exactKv, chunk: 40 });
    expect(await longer.prefill(ids)).toEqual(logits);
    // 16,384 positions of one layer, less 1,024: K and V of two heads of 32 floats.
    expect(longer.kvBytes - kept).toBe((16_384 - 1024) * 2 * 2 * 32 * 4);
    longer.close();
  });

  it('reproduces the golden logits of a prompt with images, from their patches on', async () => {
    const images = readImageGolden();
    const opened = await openImageModel(device);
    const soft = await encodeImages(opened, images.images);
    expect(largestDifference(soft[1]!, images.softTokens.subarray(images.softTokens.length / 2))).toBeLessThan(2e-5);
    const context = new Context(opened, { kv: exactKv });
    const logits = await context.prefill(images.ids, { images: soft });
    const last = images.logits.subarray(images.logits.length - images.logits.length / images.ids.length);
    expect(largestDifference(logits, last.subarray(0, logits.length))).toBeLessThan(1e-3);
    context.close();
    opened.encoder.close();
  });
});
