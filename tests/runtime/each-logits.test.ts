/** The logits of every position are those of a context that ends there, bit for bit, whatever the layers and chunks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Context } from '../../src/runtime/context.js';
import { openFixture, readGolden, workingDevices, type TestDevice } from './fixture.js';
import type { Device } from '../../src/device/device.js';

const devices = await workingDevices();
type Kind = 'local' | 'global';
const patterns: Kind[][] = [['global'], ['local', 'global'], ['local', 'global', 'local'], ['local', 'local']];

describe.each(devices)('on the $name device', ({ create }: TestDevice) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  it.each(patterns.map((kinds) => ({ kinds })))('layers $kinds', async ({ kinds }) => {
    const model = await openFixture(device, kinds);
    const ids = readGolden().ids.slice(0, 24);
    const alone: Float32Array[] = [];
    for (let end = 1; end <= ids.length; end++) {
      const context = new Context(model);
      alone.push(await context.prefill(ids.slice(0, end)));
      context.close();
    }
    for (const chunk of [5, 64]) {
      const context = new Context(model, { chunk });
      const seen = new Map<number, Float32Array>();
      const eachLogits = (position: number, logits: Float32Array): void => void seen.set(position, logits.slice());
      // In two readings, the first of which asks for no logits: what the second needs of it is read again.
      await context.prefill(ids.slice(0, 9), { logits: false });
      const last = await context.prefill(ids.slice(9), { eachLogits });
      expect([...seen.keys()]).toEqual(Array.from({ length: ids.length - 9 }, (_, i) => 9 + i));
      for (const [position, logits] of seen) expect(logits).toEqual(alone[position]);
      expect(last).toEqual(alone.at(-1));
      context.close();
    }
  });
});
