/** Images in a context: against transformers, and the laws that text keeps (chunks, marks, aborts, formats of the cache). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { Context, type ContextOptions } from '../../src/runtime/context.js';
import { exactKv, interruptedDevice, kvChoices, largestDifference, workingDevices } from './fixture.js';
import { encodeImages, openImageModel, readImageGolden, type ImageModel } from './image-fixture.js';

const golden = readImageGolden();
const { ids } = golden;
/** Rows of the embedding, and so of transformers' logits. */
const rows = 576;
const devices = await workingDevices();

describe.each(devices)('$name', ({ create, tolerance }) => {
  let device: Device;
  let model: ImageModel;
  let images: readonly [Float32Array, Float32Array];
  beforeAll(async () => {
    device = await create();
    model = await openImageModel(device);
    images = (await encodeImages(model, golden.images)) as [Float32Array, Float32Array];
  });
  afterAll(() => device.close());

  async function read(options: ContextOptions = {}, of: Pick<ImageModel, 'device' | 'config' | 'weights'> = model): Promise<Float32Array> {
    const context = new Context(of, { kv: exactKv, ...options });
    const logits = await context.prefill(ids, { images });
    context.close();
    return logits;
  }

  it('computes every hidden state of transformers', async () => {
    const context = new Context(model, { kv: exactKv });
    const errors: number[] = [];
    await context.prefill(ids, { images, tap: (layer, _, states) => errors.push(largestDifference(states, golden.hiddenStates[layer === 'final' ? 7 : layer] ?? [])) });
    context.close();
    // The embedding, six layers, and the seventh before and after the last norm, which is all that transformers shows.
    expect(errors).toHaveLength(9);
    errors.splice(7, 1);
    expect(Math.max(...errors)).toBeLessThan(tolerance);
  });

  it('computes the logits of transformers, read in one go and piece by piece', async () => {
    // Logits of a prefix are those of the whole, since nothing but an image looks ahead.
    const soft = model.vision.tokens.soft;
    const context = new Context(model, { kv: exactKv });
    let done = 0;
    for (let end = 1; end <= ids.length; end++) {
      if (ids[end] === soft && ids[end - 1] === soft) continue;
      const piece = ids.slice(done, end);
      const before = ids.slice(0, done).filter((id) => id === soft).length / 4;
      const logits = await context.prefill(piece, { images: images.slice(before, before + (piece.includes(soft) ? 1 : 0)) });
      expect(largestDifference(logits, golden.logits.subarray((end - 1) * rows, (end - 1) * rows + logits.length)), `prefix of ${end}`).toBeLessThan(tolerance);
      done = end;
    }
    expect(done).toBe(ids.length);
    context.close();
    const whole = await read();
    expect(largestDifference(whole, golden.logits.subarray(36 * rows, 36 * rows + whole.length))).toBeLessThan(tolerance);
  });

  it('looks at the images: others, or in another order, give other logits', async () => {
    const one = await read();
    const context = new Context(model, { kv: exactKv });
    const other = await context.prefill(ids, { images: [images[1], images[0]] });
    context.close();
    expect(largestDifference(one, other)).toBeGreaterThan(0.01);
  });

  it.each([exactKv, ...kvChoices])('gives the same bits for every chunk, also those that would cut an image ($local, $global)', async (kv) => {
    const whole = await read({ kv, chunk: 100 });
    for (const chunk of [1, 4, 5, 6, 7, 8, 9, 11, 20, 36]) expect(await read({ kv, chunk }), `chunk of ${chunk}`).toEqual(whole);
  });

  it('keeps that law where the window is smaller than an image, or as large, or the first layer is global', async () => {
    const changed = [1, 2, 3, 4, 5].map((window) => ({ ...model, config: { ...model.config, window } }));
    const kinds = ['global', 'local', 'local', 'global', 'local', 'local', 'local'] as const;
    changed.push({ ...model, config: { ...model.config, window: 3, layers: kinds.map((kind) => ({ kind })) } });
    changed.push({ ...model, config: { ...model.config, window: 3, layers: kinds.map(() => ({ kind: 'local' })) } });
    const results = new Set<string>();
    for (const each of changed) {
      const whole = await read({ chunk: 100 }, each);
      for (const chunk of [1, 5, 7, 20]) expect(await read({ chunk }, each), `chunk of ${chunk}`).toEqual(whole);
      results.add(String(whole[0]));
    }
    expect(results.size).toBe(changed.length);
  });

  it('reads two images in a row, and one at the very start and end', async () => {
    const { start, end, soft } = model.vision.tokens;
    const image = [soft, soft, soft, soft];
    const tokens = [...image, start, ...image, end, ...image];
    const three = [images[0], images[1], images[0]];
    const results: Float32Array[] = [];
    for (const chunk of [4, 5, 9, 14]) {
      const context = new Context(model, { kv: exactKv, chunk });
      results.push(await context.prefill(tokens, { images: three }));
      expect(context.length).toBe(tokens.length);
      expect([...context.tokens]).toEqual(tokens);
      context.close();
    }
    for (const logits of results) expect(logits).toEqual(results[0]);
  });

  it('goes back to a mark before, between and after images', async () => {
    const context = new Context(model, { kv: { local: 'f32', global: 'f16' }, chunk: 6 });
    const fresh = await read({ kv: { local: 'f32', global: 'f16' } });
    const cut = ids.indexOf(15);
    const start = await context.mark();
    await context.prefill(ids.slice(0, cut), { images: images.slice(0, 1), logits: false });
    const between = await context.mark();
    const first = await context.prefill(ids.slice(cut), { images: images.slice(1) });
    expect(first).toEqual(fresh);
    const after = await context.mark();
    const next = await context.decode(7);
    context.rewind(between);
    context.rewind(after);
    expect(await context.decode(7)).toEqual(next);
    context.rewind(between);
    const other = await context.prefill(ids.slice(cut), { images: images.slice(0, 1) });
    expect(other).not.toEqual(fresh);
    context.rewind(between);
    expect(await context.prefill(ids.slice(cut), { images: images.slice(1) })).toEqual(fresh);
    context.rewind(start);
    expect(await context.prefill(ids, { images })).toEqual(fresh);
    context.close();
  });

  it('gives the same bits after an interruption anywhere, images read again where the rings have lost them', async () => {
    // Local layers above the last global one compute only what the end of the text needs, so that a text that goes on
    // after an abort may need them to read everything again.
    const kinds = ['local', 'global', 'local', 'local', 'local', 'local', 'local'] as const;
    const localAbove = { ...model, config: { ...model.config, window: 3, layers: kinds.map((kind) => ({ kind })) } };
    const whole = await read({}, localAbove);
    const chunk = 9;
    for (const submit of [0, 1, 2, 3, 4]) {
      for (const kept of [0, 3, 40]) {
        const context = new Context({ ...localAbove, device: interruptedDevice(device, submit, kept) }, { kv: exactKv, chunk });
        await expect(context.prefill(ids, { images })).rejects.toThrow('interrupted');
        const { length } = context;
        const done = ids.slice(0, length).filter((id) => id === model.vision.tokens.soft).length / 4;
        expect(Number.isInteger(done)).toBe(true);
        const logits = await context.prefill(ids.slice(length), { images: images.slice(done) });
        expect(logits, `submit ${submit}, ${kept} commands`).toEqual(whole);
        context.close();
      }
    }
    // The same interruption, and the text goes on with other words than those that were to come.
    const context = new Context({ ...localAbove, device: interruptedDevice(device, 2, 40) }, { kv: exactKv, chunk });
    await expect(context.prefill(ids, { images })).rejects.toThrow('interrupted');
    const start = context.length;
    const fresh = new Context(localAbove, { kv: exactKv });
    const cut = ids.slice(0, start);
    let total = 0;
    expect(await context.prefill([9, 8], { onProgress: (_, of) => (total = of) })).toEqual(
      await fresh.prefill([...cut, 9, 8], { images: images.slice(0, cut.filter((id) => id === model.vision.tokens.soft).length / 4) }),
    );
    expect(total).toBe(start + 2);
    expect(cut).toContain(model.vision.tokens.soft);
    context.close();
    fresh.close();
  });

  it('refuses images that are not those of the tokens, before it reads anything', async () => {
    const context = new Context(model, { kv: exactKv });
    const { soft } = model.vision.tokens;
    const four = [soft, soft, soft, soft];
    await expect(context.prefill(ids, {})).rejects.toThrow(/image 0 is 0 numbers, not 256/);
    await expect(context.prefill(ids, { images: images.slice(0, 1) })).rejects.toThrow(/image 1 is 0 numbers/);
    await expect(context.prefill(ids, { images: [...images, images[0]] })).rejects.toThrow(/3 images, but the tokens of 2/);
    await expect(context.prefill([1, 2], { images: [images[0]] })).rejects.toThrow(/1 images, but the tokens of 0/);
    await expect(context.prefill([1, soft, soft, 2], { images: [images[0]] })).rejects.toThrow(/a run of 2 image tokens; an image has 4/);
    await expect(context.prefill([...four, ...four], { images })).rejects.toThrow(/a run of 8/);
    await expect(context.prefill(four, { images: [images[0].subarray(1)] })).rejects.toThrow(/255 numbers, not 256/);
    await expect(context.prefill([soft + 1])).rejects.toThrow(/outside the vocabulary/);
    await expect(context.decode(soft)).rejects.toThrow(/a run of 1/);
    const small = new Context(model, { kv: exactKv, positions: 3 });
    await expect(small.prefill(four, { images: [images[0]] })).rejects.toThrow(/4 tokens in a context of 3 positions/);
    small.close();
    expect(context.length).toBe(0);
    expect(largestDifference(await context.prefill(ids, { images }), await read())).toBe(0);
    context.close();
  });
});
