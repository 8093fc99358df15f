/** Texts that begin alike: what is reused changes nothing that comes after. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel, type Model } from '../../src/runtime/model.js';
import { Context } from '../../src/runtime/context.js';
import { SharedPrefix } from '../../src/runtime/shared-prefix.js';
import { selectDevice } from '../../src/device/select.js';
import type { Device } from '../../src/device/device.js';
import { embeddedModelDir } from '../../src/paths.js';
import { createRandom, randomBelow } from '../../src/random.js';

let device: Device;
let model: Model;
beforeAll(async () => {
  ({ device } = await selectDevice('auto'));
  model = await openModel(embeddedModelDir, device);
});
afterAll(async () => {
  await model.close();
  await device.close();
});

const random = createRandom(1);
const noise = (length: number): Uint32Array => Uint32Array.from({ length }, () => 10 + randomBelow(1000, random));

async function alone(ids: Uint32Array, question: Uint32Array): Promise<Float32Array> {
  const context = new Context(model, { chunk: 64 });
  await context.prefill(ids, { logits: false });
  const logits = await context.prefill(question);
  context.close();
  return logits;
}

/** Chunks of 64 and a window of 128: texts differ inside a window, at a mark, before the first, and not at all. */
describe('SharedPrefix', () => {
  it('gives the logits of a fresh context, bit for bit, wherever the texts part', async () => {
    const prefix = new SharedPrefix(model, { chunk: 64 });
    const question = noise(9);
    const first = noise(1500);
    const from = (length: number, rest: number): Uint32Array => Uint32Array.of(...first.subarray(0, length), ...noise(rest));
    const texts = [first, from(1400, 60), from(1400, 200), from(701, 900), first, from(128, 100), from(30, 20), from(0, 700), first.slice(0, 640), first];
    let reused = 0;
    for (const ids of texts) {
      const reading = await prefix.read(ids);
      expect(reading.reused).toBeLessThanOrEqual(ids.length);
      reused += reading.reused;
      for (let i = 0; i < 2; i++) {
        prefix.context.rewind(reading.end);
        expect(await prefix.context.prefill(question)).toEqual(await alone(ids, question));
      }
    }
    expect(reused).toBeGreaterThan(2500);
    prefix.close();
  });

  it('goes on rightly after it was interrupted', async () => {
    const prefix = new SharedPrefix(model, { chunk: 64 });
    const [ids, question] = [noise(900), noise(5)];
    const abort = new AbortController();
    const reading = prefix.read(ids, {
      signal: abort.signal,
      onProgress: (done) => {
        if (done > 400) abort.abort(new Error('enough'));
      },
    });
    await expect(reading).rejects.toThrow('enough');
    const { reused } = await prefix.read(ids);
    expect(reused).toBeGreaterThan(0);
    expect(await prefix.context.prefill(question)).toEqual(await alone(ids, question));
    prefix.close();
  });
});
