/** Pages that are mapped from a session's files: the same logits as copied ones, and files that nothing changes. */
import { closeSync, copyFileSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PromptReader } from '../../src/answer/prompt-reader.js';
import { createCpuDevice, type CpuDevice } from '../../src/device/cpu/device.js';
import { pageSlots } from '../../src/runtime/kv.js';
import { kvChoices, openFixture, someIds, withTempDir, type TestModel } from '../runtime/fixture.js';
import { never, promptOf, readCold, readWith, sessionOf, someSource } from './support.js';

const opened = createCpuDevice();

describe.skipIf('unavailable' in opened)('a device that maps', () => {
  const device = opened as CpuDevice;
  let model: TestModel;
  beforeAll(async () => {
    const fixture = await openFixture(device, ['local', 'global', 'local', 'global']);
    model = { ...fixture, config: { ...fixture.config, maxPositions: 4096 } };
  });
  afterAll(() => device.close());

  // Blocks that begin and end inside a page, at its end, and with several pages.
  const sources = [someSource(1, 60), [...someSource(2, 42), someIds(2 * pageSlots - 1 - 102 * 20, 9)], someSource(3, 30)];
  const prompt = promptOf(sources, someIds(7));
  const files = (dir: string): Map<string, string> => new Map(readdirSync(join(dir, 'sessions')).map((name) => [name, readFileSync(join(dir, 'sessions', name), 'latin1')]));

  it.each(kvChoices)('gives the logits of a cold run, and of a warm one that copies, and leaves the files alone: $local, $global', (kv) =>
    withTempDir(async (dir) => {
      expect(prompt.sourceEnds[1]).toBe(2 * pageSlots);
      for (const some of [sources.slice(0, 1), sources.slice(0, 2), sources]) {
        const shorter = promptOf(some, someIds(7));
        await readWith(dir, model, shorter, { kv });
        const before = files(dir);
        const map = vi.spyOn(device, 'mapBuffer');
        const warm = await readWith(dir, model, shorter, { kv, chunk: 33 });
        const mapped = map.mock.results.filter(({ value }) => value !== null).length;
        map.mockRestore();
        // K and V of two layers.
        expect(mapped).toBeGreaterThanOrEqual(4 * Math.ceil(shorter.sourceEnds.at(-1)! / pageSlots));
        const copied = await readWith(dir, { ...model, device: new Proxy(device, { get: (of, name) => (name === 'mapBuffer' ? undefined : bound(of, name)) }) }, shorter, { kv });
        const cold = await readCold(model, shorter, { kv });
        expect([warm.cached, copied.cached, warm.warnings]).toEqual([shorter.sourceEnds.at(-1), shorter.sourceEnds.at(-1), []]);
        expect(warm.logits).toEqual(cold);
        expect(copied.logits).toEqual(cold);
        expect(files(dir)).toEqual(before);
      }
    }),
  );

  it('goes on where the files are removed, or others take their names, after they were mapped', () =>
    withTempDir(async (dir) => {
      await readWith(dir, model, prompt);
      const expected = await readCold(model, prompt);
      for (const what of ['renamed', 'removed']) {
        const session = await sessionOf(dir, prompt);
        const reader = await PromptReader.open(model, prompt, { session }, never, () => undefined);
        await session.close();
        for (const name of readdirSync(join(dir, 'sessions'))) {
          const path = join(dir, 'sessions', name);
          if (what === 'removed') rmSync(path);
          else {
            copyFileSync(path, `${path}.kept`);
            writeFileSync(`${path}.other`, 'short');
            renameSync(`${path}.other`, path);
          }
        }
        expect(await reader.read()).toEqual(expected);
        expect(reader.cached).toBe(prompt.sourceEnds.at(-1));
        reader.context.close();
        for (const name of readdirSync(join(dir, 'sessions')).filter((each) => each.endsWith('.kept'))) renameSync(join(dir, 'sessions', name), join(dir, 'sessions', name.slice(0, -5)));
      }
      // Nothing is left of them but what this last reading kept.
      expect((await readWith(dir, model, prompt)).logits).toEqual(expected);
    }));

  it('maps nothing beyond the end of a file, or where a page of the system does not begin', () =>
    withTempDir(async (dir) => {
      const path = join(dir, 'file');
      writeFileSync(path, Buffer.alloc(40_000, 7));
      const file = openSync(path, 'r');
      const inside = device.mapBuffer(file, 16_384, 20_000, 'inside')!;
      expect(device.mapBuffer(file, 16_384, 30_000, 'beyond')).toBeNull();
      expect(device.mapBuffer(file, 100, 1000, 'askew')).toBeNull();
      expect(device.mapBuffer(file, 49_152, 1, 'after')).toBeNull();
      closeSync(file);
      expect(device.mapBuffer(file, 0, 16, 'closed')).toBeNull();
      device.write({ buffer: inside, offset: 5 }, Uint8Array.of(1));
      expect([...(await device.read({ buffer: inside, offset: 4 }, 3))]).toEqual([7, 1, 7]);
      expect(readFileSync(path).every((byte) => byte === 7)).toBe(true);
      device.destroyBuffer(inside);
    }));
});

function bound(of: CpuDevice, name: string | symbol): unknown {
  const value = Reflect.get(of, name, of) as unknown;
  return typeof value === 'function' ? (value.bind(of) as unknown) : value;
}
