/** The runtime, however it is fed, against a float64 forward pass that shares no code with it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { loadGemmaWeights } from '../../src/gemma/weights.js';
import { Context } from '../../src/runtime/context.js';
import { openConfig } from '../../src/runtime/model.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { bruteForce } from '../gemma/brute-force.js';
import { randomModel, shape, writeModel, type Kind } from '../gemma/random-model.js';
import { exactKv, largestDifference, withTempDir, workingDevices, type TestModel } from './fixture.js';

const devices = await workingDevices();
const { window } = shape;
const ids = Array.from({ length: 4 * window + 3 }, (_, i) => (i * i * 31 + 7 * i + 5) % shape.vocab);

/** Far below the golden values' tolerance: float32 against float64 is the only difference here (5e-6 measured). */
const tolerance = 2e-5;

const variants: [string, Kind[], boolean][] = [
  ['last layer local', ['local', 'local', 'global', 'local'], false],
  ['last layer global', ['local', 'local', 'global'], false],
  ['two globals', ['global', 'local', 'global', 'local', 'local'], false],
  ['no rotation and log-n scale, last layer global', ['local', 'local', 'global'], true],
  ['no rotation and log-n scale, two globals, last layer local', ['global', 'local', 'global', 'local'], true],
];

describe.each(variants)('%s', (_, kinds, lodestone) => {
  const source = randomModel(kinds, lodestone);
  const expected = bruteForce(source, ids);

  it.each([window - 1, window + 1])('would notice a window of %i', (wrong) => {
    const others = bruteForce(source, ids, wrong);
    expect(largestDifference(others[window]!, expected[window]!)).toBeGreaterThan(1000 * tolerance);
    expect(others[window - 2]).toEqual(expected[window - 2]);
  });

  describe.each(devices)('$name device', ({ create }) => {
    let device: Device;
    let model: TestModel;
    beforeAll(async () => {
      device = await create();
      model = await withTempDir(async (dir) => {
        writeModel(dir, source);
        const config = await openConfig(dir);
        return { device, config, weights: await loadGemmaWeights(device, await openCheckpoint(dir), config) };
      });
    });
    afterAll(() => device.close());

    it.each([1, window - 1, window, window + 1, 2 * window, 3 * window + 1])('prefill of %i tokens, then decoding on', async (length) => {
      for (const chunk of [3, window, 64]) {
        const context = new Context(model, { chunk, kv: exactKv });
        const logits = await context.prefill(ids.slice(0, length));
        expect(largestDifference(logits, expected[length - 1]!), `chunk ${chunk}`).toBeLessThan(tolerance);
        for (const position of [length, length + 1]) {
          const next = await context.decode(ids[position]!);
          expect(largestDifference(next, expected[position]!), `chunk ${chunk}, position ${position}`).toBeLessThan(tolerance);
        }
        context.close();
      }
    });

    it('token by token', async () => {
      const context = new Context(model, { chunk: 1, kv: exactKv });
      for (const [position, id] of ids.entries()) {
        expect(largestDifference(await context.decode(id), expected[position]!), `position ${position}`).toBeLessThan(tolerance);
      }
      context.close();
    });

    it.each([
      [0, 1],
      [0, window + 3],
      [3, window - 2],
      [2 * window + 1, 3],
    ])('reads text both ways: after %i tokens %i', async (before, bothWays) => {
      const end = before + bothWays;
      const both = bruteForce(source, ids, window, [before, end]);
      for (const chunk of [window + 3, 64]) {
        const context = new Context(model, { chunk, kv: exactKv });
        if (before > 0) await context.prefill(ids.slice(0, before), { logits: false });
        const logits = await context.prefill(ids.slice(before, end + 2), { bothWays });
        expect(largestDifference(logits, both[end + 1]!), `chunk ${chunk}`).toBeLessThan(tolerance);
        expect(largestDifference(await context.decode(ids[end + 2]!), both[end + 2]!)).toBeLessThan(tolerance);
        if (bothWays > 1) expect(largestDifference(logits, expected[end + 1]!)).toBeGreaterThan(1000 * tolerance);
        context.close();
      }
    });

    it('reads what goes both ways whole or not at all', async () => {
      const context = new Context(model, { chunk: 5, kv: exactKv });
      const both = bruteForce(source, ids.slice(0, 9), window, [4, 9]);
      await context.prefill(ids.slice(0, 4), { logits: false });
      const mark = await context.mark();
      await expect(context.prefill(ids.slice(4, 12), { bothWays: 6 })).rejects.toThrow('6 tokens both ways in a context of 5 positions a submit');
      await expect(context.prefill(ids.slice(4, 9), { bothWays: 6 })).rejects.toThrow('6 of 5 tokens both ways');
      for (let i = 0; i < 2; i++) {
        expect(context.length).toBe(4);
        const stop = new AbortController();
        stop.abort(new Error('enough'));
        await expect(context.prefill(ids.slice(4, 9), { bothWays: 5, signal: stop.signal })).rejects.toThrow('enough');
        expect(largestDifference(await context.prefill(ids.slice(4, 9), { bothWays: 5 }), both[8]!)).toBeLessThan(tolerance);
        context.rewind(mark);
      }
      // Of the block nothing is left.
      expect(largestDifference(await context.prefill(ids.slice(4, 9)), expected[8]!)).toBeLessThan(tolerance);
      context.close();
    });

    it('prefill without logits, then decoding', async () => {
      for (const length of [1, window - 1, window + 1, 3 * window + 1]) {
        const context = new Context(model, { chunk: 5, kv: exactKv });
        expect(await context.prefill(ids.slice(0, length), { logits: false })).toBeNull();
        const next = await context.decode(ids[length]!);
        expect(largestDifference(next, expected[length]!), `${length} tokens`).toBeLessThan(tolerance);
        context.close();
      }
    });
  });
});
