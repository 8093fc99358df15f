/** Every place at which a prefill can be aborted, and every length with which it can go on. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { loadGemmaWeights } from '../../src/gemma/weights.js';
import { Context } from '../../src/runtime/context.js';
import { openConfig } from '../../src/runtime/model.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { randomModel, shape, writeModel, type Kind } from '../gemma/random-model.js';
import { withTempDir, type TestModel } from './fixture.js';

const device = createReferenceDevice();
afterAll(() => device.close());

const ids = Array.from({ length: 24 }, (_, i) => (i * i * 29 + 3 * i) % shape.vocab);
const promptLength = 16;

/** Reads the prompt and aborts once `done` positions are read. */
async function abortAfter(context: Context, done: number): Promise<void> {
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = (read: number): void => {
    if (read === done) controller.abort(reason);
  };
  await expect(context.prefill(ids.slice(0, promptLength), { signal: controller.signal, onProgress })).rejects.toBe(reason);
  expect(context.length).toBe(done);
}

const patterns: Kind[][] = [
  ['global', 'local', 'local'],
  ['local', 'local', 'local'],
  ['local', 'global'],
];

describe.each(patterns.map((kinds) => [kinds.join(', '), kinds] as const))('%s', (_, kinds) => {
  let model: TestModel;
  /** Logits after each position, read one by one. */
  const expected: Float32Array[] = [];

  beforeAll(async () => {
    model = await withTempDir(async (dir) => {
      writeModel(dir, randomModel(kinds, false));
      const config = { ...(await openConfig(dir)), window: 3 };
      return { device, config, weights: await loadGemmaWeights(device, await openCheckpoint(dir), config) };
    });
    const context = new Context(model, { chunk: 1 });
    for (const id of ids) expected.push(await context.decode(id));
    context.close();
  });

  it.each([1, 2, 5])('in chunks of %i, goes on as if nothing had happened', async (chunk) => {
    for (let done = chunk; done < promptLength; done += chunk) {
      for (let more = 1; more <= 6; more++) {
        const context = new Context(model, { chunk });
        await abortAfter(context, done);
        const end = done + more;
        expect(await context.prefill(ids.slice(done, end)), `${done} + ${more}`).toEqual(expected[end - 1]);
        // And from then on a token costs one position again.
        let read = 0;
        const onProgress = (_: number, total: number): void => {
          read = total;
        };
        expect(await context.prefill([ids[end]!], { onProgress }), `${done} + ${more} + 1`).toEqual(expected[end]);
        expect(read).toBe(1);
        context.close();
      }
    }
  });

  it('aborted again and again, also while it reads anew', async () => {
    const context = new Context(model, { chunk: 2 });
    await abortAfter(context, 10);
    const controller = new AbortController();
    const reason = new Error('again');
    const onProgress = (read: number, total: number): void => {
      if (read === 2 && total > 2) controller.abort(reason);
    };
    await expect(context.prefill(ids.slice(10, 20), { signal: controller.signal, onProgress })).rejects.toBe(reason);
    const { length } = context;
    expect(length).toBeGreaterThanOrEqual(10);
    expect(await context.prefill(ids.slice(length, 21))).toEqual(expected[20]);
    expect(await context.decode(ids[21]!)).toEqual(expected[21]);
    expect([...context.tokens]).toEqual(ids.slice(0, 22));
    context.close();
  });
});
