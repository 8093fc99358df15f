/** Going back to a mark: the same bits as a context that had read only so far. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { kvPositionBytes } from '../../src/runtime/kv.js';
import { Rewrites } from '../../src/runtime/mark.js';
import { Context, type ContextOptions } from '../../src/runtime/context.js';
import { interruptedDevice, kvChoices, openFixture, someIds, workingDevices, type TestModel } from './fixture.js';

const devices = await workingDevices();
const window = 8;
const haystack = someIds(75);
/** Shorter than a window, a window, and several: what the rings held is then gone. */
const questions = [1, 5, window, 41].map((length, i) => someIds(length, 20 + i));

async function fresh(model: TestModel, ids: readonly number[], options: ContextOptions): Promise<Float32Array> {
  const context = new Context(model, options);
  const logits = await context.prefill(ids);
  context.close();
  return logits;
}

/** Aborts once `done` positions of this call are read. */
async function readAndAbort(context: Context, ids: readonly number[], done: number): Promise<void> {
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = (read: number): void => {
    if (read === done) controller.abort(reason);
  };
  await expect(context.prefill(ids, { signal: controller.signal, onProgress })).rejects.toBe(reason);
}

const patterns: Record<string, ('local' | 'global')[]> = {
  'as published: two locals above the global': ['local', 'local', 'local', 'local', 'local', 'global', 'local', 'local'],
  'last layer global': ['local', 'local', 'local', 'global'],
  'two globals, last layer local': ['local', 'global', 'local', 'global', 'local', 'local'],
  'no global layer': ['local', 'local', 'local'],
};

describe.each(devices)('$name device', ({ create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  describe.each(Object.entries(patterns))('%s', (_, kinds) => {
    let model: TestModel;
    beforeAll(async () => {
      model = await openFixture(device, kinds);
    });

    it.each(kvChoices)('asks one question after another: $local, $global', async (kv) => {
      for (const length of [1, window - 1, window, 75]) {
        const text = haystack.slice(0, length);
        // In chunks of another size: they do not matter.
        const expected = await Promise.all([...questions, [3]].map((question) => fresh(model, [...text, ...question], { chunk: 16, kv })));
        for (const chunk of [1, 7, 64]) {
          const context = new Context(model, { chunk, kv });
          await context.prefill(text, { logits: false });
          const mark = await context.mark();
          expect(mark.length).toBe(length);
          for (const q of [0, 1, 2, 3, 0]) {
            context.rewind(mark);
            expect(context.length).toBe(length);
            const question = questions[q]!;
            expect(await context.prefill(question), `${length} + ${question.length}, chunk ${chunk}`).toEqual(expected[q]);
            expect([...context.tokens]).toEqual([...text, ...question]);
          }
          context.rewind(mark);
          expect(await context.decode(3)).toEqual(expected.at(-1));
          context.close();
        }
      }
    });

    it('holds of each ring what the window sees, and allocates nothing', async () => {
      const kv = kvChoices[2]!;
      const context = new Context(model, { chunk: 16, kv });
      const before = device.allocatedBytes;
      const locals = kinds.filter((kind) => kind === 'local').length;
      for (const [more, held] of [[3, 3], [40, window - 1]] as const) {
        await context.prefill(haystack.slice(0, more), { logits: false });
        const mark = await context.mark();
        expect(mark.bytes).toBe(locals * held * kvPositionBytes(model.config, kv.local));
        context.rewind(mark);
      }
      const pages = kinds.length - locals;
      expect(device.allocatedBytes - before).toBe(pages * 1024 * kvPositionBytes(model.config, kv.global));
      context.close();
    });

    it('goes back after a question that was interrupted, wherever that was', async () => {
      const question = questions[3]!;
      const expected = await fresh(model, [...haystack, ...questions[1]!], {});
      for (const done of [0, 6, 12, 36]) {
        const context = new Context(model, { chunk: 6 });
        await context.prefill(haystack);
        const mark = await context.mark();
        if (done === 0) await expect(context.prefill(question, { signal: AbortSignal.abort(new Error('now')) })).rejects.toThrow('now');
        else await readAndAbort(context, question, done);
        context.rewind(mark);
        expect(await context.prefill(questions[1]!), `after ${done}`).toEqual(expected);
        context.close();
      }
    });

    it('marks a place where reading was interrupted, and goes on from it in two ways', async () => {
      const context = new Context(model, { chunk: 6 });
      await readAndAbort(context, haystack, 30);
      const mark = await context.mark();
      for (const rest of [haystack.slice(30), questions[1]!, questions[3]!]) {
        context.rewind(mark);
        expect(await context.prefill(rest)).toEqual(await fresh(model, [...haystack.slice(0, 30), ...rest], {}));
      }
      context.close();
    });

    it('goes back and forth between marks, until another text takes their place', async () => {
      const context = new Context(model, { chunk: 9 });
      const start = await context.mark();
      await context.prefill(haystack.slice(0, 20), { logits: false });
      const near = await context.mark();
      await context.prefill(haystack.slice(20), { logits: false });
      const far = await context.mark();
      context.rewind(near);
      context.rewind(far);
      expect(await context.decode(7)).toEqual(await fresh(model, [...haystack, 7], {}));
      context.rewind(near);
      expect(await context.prefill(questions[0]!)).toEqual(await fresh(model, [...haystack.slice(0, 20), ...questions[0]!], {}));
      expect(() => context.rewind(far)).toThrow('replaced');
      expect(context.length).toBe(20 + questions[0]!.length);
      context.rewind(start);
      expect(context.length).toBe(0);
      expect(await context.prefill(questions[3]!)).toEqual(await fresh(model, questions[3]!, {}));
      expect(() => context.rewind(near)).toThrow('replaced');
      context.close();
    });
  });

  it('reads again what an interrupted rereading has spoiled', async () => {
    const small = await openFixture(device, ['local', 'global', 'local', 'local']);
    const expected = await fresh(small, [...haystack.slice(0, 9), ...questions[1]!], {});
    for (let kept = 0; kept <= 43; kept += 3) {
      // Submits: 0 the text; 1, 2, 3 of a long question; 4 the first of the rereading, broken off with NaN in its slots.
      const context = new Context({ ...small, device: interruptedDevice(device, 4, kept) }, { chunk: 9 });
      await context.prefill(haystack.slice(0, 9), { logits: false });
      const mark = await context.mark();
      await readAndAbort(context, haystack.slice(9, 75), 27);
      await expect(context.prefill([1])).rejects.toThrow('interrupted');
      context.rewind(mark);
      expect(await context.prefill(questions[1]!), `after ${kept} commands`).toEqual(expected);
      context.close();
    }
  });

  it('crosses pages of a global layer, and takes the old ones again', async () => {
    const small = await openFixture(device, ['local', 'global', 'local']);
    const longer = { ...small, config: { ...small.config, maxPositions: 4096 } };
    const ids = someIds(1000);
    const context = new Context(longer, { chunk: 200 });
    await context.prefill(ids, { logits: false });
    const mark = await context.mark();
    for (const seed of [2, 3]) {
      context.rewind(mark);
      const more = someIds(60, seed);
      expect(await context.prefill(more)).toEqual(await fresh(longer, [...ids, ...more], {}));
    }
    context.close();
  });

  it("refuses another context's mark, and to mark or go back while it reads", async () => {
    const model = await openFixture(device);
    const [context, other] = [new Context(model), new Context(model)];
    await context.prefill(haystack, { logits: false });
    await other.prefill(haystack, { logits: false });
    const mark = await context.mark();
    expect(() => other.rewind(mark)).toThrow('not of this context');
    expect(() => context.rewind({ ...mark })).toThrow('not of this context');
    const reading = context.decode(1);
    expect(() => context.rewind(mark)).toThrow('already reading');
    await expect(context.mark()).rejects.toThrow('already reading');
    await reading;
    context.rewind(mark);
    await expect(context.prefill([5, -1])).rejects.toThrow('outside the vocabulary');
    expect(await context.decode(1)).toEqual(await fresh(model, [...haystack, 1], {}));
    context.close();
    other.close();
  });
});

it('remembers the lowest position written over since a time', () => {
  const rewrites = new Rewrites();
  const start = rewrites.now();
  expect(rewrites.lowestSince(start)).toBe(Infinity);
  rewrites.record(50);
  const later = rewrites.now();
  rewrites.record(80);
  expect([start, later, rewrites.now()].map((time) => rewrites.lowestSince(time))).toEqual([50, 80, Infinity]);
  rewrites.record(60);
  expect([start, later].map((time) => rewrites.lowestSince(time))).toEqual([50, 60]);
  rewrites.record(10);
  expect([start, later, rewrites.now()].map((time) => rewrites.lowestSince(time))).toEqual([10, 10, Infinity]);
});
