import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { ExitCode } from '../../src/errors.js';
import { Context } from '../../src/runtime/context.js';
import { generate, type GenerateEnd, type GenerateOptions } from '../../src/runtime/generate.js';
import { argmax, logProbability } from '../../src/device/sampling.js';
import { openFixture, someIds, type TestModel } from './fixture.js';

const device = createReferenceDevice();
let model: TestModel;
beforeAll(async () => {
  model = await openFixture(device, ['local', 'global', 'local']);
});
afterAll(() => device.close());

interface Run {
  readonly ids: number[];
  readonly logProbs: number[];
  readonly end: GenerateEnd;
  readonly read: number[];
}

/** Generates after a prompt, to the end. */
async function run(options: GenerateOptions, prompt = someIds(12), from = model): Promise<Run> {
  const context = new Context(from, { chunk: 16 });
  const tokens = generate(context, await context.prefill(prompt), options);
  const ids: number[] = [];
  const logProbs: number[] = [];
  for (;;) {
    const { done, value } = await tokens.next();
    if (done) {
      const read = Array.from(context.tokens.subarray(prompt.length));
      context.close();
      return { ids, logProbs, end: value, read };
    }
    ids.push(value.id);
    logProbs.push(value.logProb);
  }
}

describe('generate', () => {
  it('is greedy by default: each token is the most probable after all before it', async () => {
    const { ids, logProbs, end, read } = await run({ maxTokens: 6 });
    expect(end).toEqual({ reason: 'length' });
    expect(read).toEqual(ids.slice(0, 5));
    const prompt = someIds(12);
    for (const [i, id] of ids.entries()) {
      const context = new Context(model);
      const logits = await context.prefill([...prompt, ...ids.slice(0, i)]);
      expect(id).toBe(argmax(logits));
      // In float32 from the second on: the device has drawn it.
      expect(logProbs[i]).toBeCloseTo(logProbability(logits, id), 6);
      context.close();
    }
  });

  it('ends at any stop id, which it does not yield', async () => {
    const { ids } = await run({ maxTokens: 6 });
    const stopped = await run({ maxTokens: 6, stop: [511, ids[3]!] });
    const at = ids.indexOf(ids[3]!);
    expect(stopped.ids).toEqual(ids.slice(0, at));
    expect(stopped.end).toMatchObject({ reason: 'stop', stopId: ids[3] });
    expect(stopped.end.logProb).toBeLessThan(0);
    const alone = await run({ maxTokens: 6, stop: [ids[0]!] });
    expect([alone.ids, alone.read]).toEqual([[], []]);
  });

  it('yields nothing for maxTokens 0', async () => {
    expect(await run({ maxTokens: 0 })).toMatchObject({ ids: [], end: { reason: 'length' } });
  });

  it('generates only allowed ids, with the probability that the model itself gives them', async () => {
    const allowed = (id: number): boolean => id % 7 === 3;
    const free = await run({ maxTokens: 1 });
    const { ids, logProbs } = await run({ maxTokens: 5, allowed });
    expect(ids.every(allowed)).toBe(true);
    expect(logProbs[0]).toBeLessThan(free.logProbs[0]!);
    const drawn = await run({ maxTokens: 5, allowed, sampling: { temperature: 5, seed: 3 } });
    expect(drawn.ids.every(allowed)).toBe(true);
  });

  it('throws where nothing is allowed', async () => {
    for (const temperature of [0, 1]) {
      await expect(run({ maxTokens: 1, allowed: () => false, sampling: { temperature } })).rejects.toThrow('no token is allowed');
    }
  });

  it('throws where the logits are no numbers, as of damaged weights', async () => {
    const context = new Context(model);
    const tokens = generate(context, new Float32Array(512).fill(Number.NaN));
    await expect(tokens.next()).rejects.toMatchObject({ exitCode: ExitCode.badModel });
    context.close();
  });

  it('draws the same text for the same seed', async () => {
    const draw = (seed: number): Promise<Run> => run({ maxTokens: 12, sampling: { temperature: 2, topK: 50, seed } });
    const first = await draw(1);
    expect((await draw(1)).ids).toEqual(first.ids);
    expect((await draw(2)).ids).not.toEqual(first.ids);
  });

  it('ends with the context', async () => {
    const short = { ...model, config: { ...model.config, maxPositions: 15 } };
    const { ids, end, read } = await run({}, someIds(12), short);
    expect(end).toEqual({ reason: 'context' });
    expect(read).toHaveLength(3);
    expect(ids).toHaveLength(4);
  });

  it('throws the reason of an abort, between tokens and before the first', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const context = new Context(model);
    const tokens = generate(context, await context.prefill(someIds(5)), { signal: controller.signal });
    await tokens.next();
    controller.abort(reason);
    await expect(tokens.next()).rejects.toBe(reason);
    expect(context.length).toBe(5);
    await expect(run({ signal: controller.signal })).rejects.toBe(reason);
  });
});
