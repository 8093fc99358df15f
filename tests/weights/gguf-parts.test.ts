/** Models in several GGUF files: any part opens the whole, and parts that do not belong together are refused. */
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { Context } from '../../src/runtime/context.js';
import { openModel } from '../../src/runtime/model.js';
import { ggufStem, partPaths } from '../../src/weights/gguf-parts.js';
import { openGguf } from '../../src/weights/gguf.js';
import { scratch } from '../ingest/support.js';
import { fixtureDir, someIds } from '../runtime/fixture.js';
import { ggufFile, readGgufFile, tensorsOf } from './gguf-files.js';

const dir = scratch();
const whole = join(fixtureDir, 'q8_0.gguf');

/** The tiny model in `count` files, as llama-gguf-split makes them: all metadata in the first. */
async function split(stem: string, count: number, change: Readonly<Record<string, number>> = {}): Promise<string[]> {
  const { gguf, metadata } = await readGgufFile(whole);
  const tensors = Object.entries(tensorsOf(gguf));
  const each = Math.ceil(tensors.length / count);
  return Array.from({ length: count }, (_, i) => {
    const path = join(dir, `${stem}-${String(i + 1).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`);
    const keys = { 'split.no': { u32: i }, 'split.count': { u32: count }, 'split.tensors.count': { u32: change['tensors'] ?? tensors.length } };
    writeFileSync(path, ggufFile(i === 0 ? { ...metadata, ...keys } : keys, Object.fromEntries(tensors.slice(i * each, (i + 1) * each))));
    return path;
  });
}

it('names', () => {
  expect(ggufStem('/a/m-Q4_0-00002-of-00003.gguf')).toBe('m-Q4_0');
  expect(ggufStem('m-Q4_0.gguf')).toBe('m-Q4_0');
  expect(partPaths('/a/m-00002-of-00003.gguf')).toEqual(['/a/m-00001-of-00003.gguf', '/a/m-00002-of-00003.gguf', '/a/m-00003-of-00003.gguf']);
  expect(partPaths('/a/m.gguf')).toEqual(['/a/m.gguf']);
});

it.each([0, 1, 2])('part %d opens the whole model, with its logits', async (i) => {
  const paths = await split('model', 3);
  const device = createReferenceDevice();
  const logits = async (path: string): Promise<Float32Array> => {
    const model = await openModel(path, device);
    const context = new Context(model, { chunk: 8 });
    const values = (await context.prefill(someIds(10))).slice();
    context.close();
    await model.close();
    return values;
  };
  const gguf = await openGguf(paths[i]!);
  expect([gguf.path, gguf.files, gguf.tensors.size]).toEqual([paths[0], paths, (await openGguf(whole)).tensors.size]);
  expect((await openModel(paths[i]!, device)).id).toBe('model');
  if (i === 1) expect(await logits(paths[i]!)).toEqual(await logits(whole));
  await device.close();
});

describe('refuses', () => {
  it('a part that is missing', async () => {
    const paths = await split('missing', 3);
    rmSync(paths[2]!);
    await expect(openGguf(paths[0]!)).rejects.toMatchObject({ exitCode: 6, message: expect.stringMatching(/missing-00003-of-00003\.gguf: can't be opened/u) as string });
  });
  it('a part under another name', async () => {
    const paths = await split('named', 2);
    copyFileSync(paths[1]!, join(dir, 'alone.gguf'));
    await expect(openGguf(join(dir, 'alone.gguf'))).rejects.toThrow(/alone\.gguf: is one of 2 parts, which must lie side by side/u);
    copyFileSync(paths[0]!, paths[1]!);
    await expect(openGguf(paths[0]!)).rejects.toThrow(/named-00002-of-00002\.gguf: is by its name part 2 of 2, and by its metadata another/u);
  });
  it('parts that are not all', async () => {
    const paths = await split('few', 2, { tensors: 9999 });
    await expect(openGguf(paths[1]!)).rejects.toThrow(/few-00001-of-00002\.gguf: is the first of 2 parts with 9999 tensors, but they have \d+$/u);
  });
  it('a count that no file can have', async () => {
    const [path] = await split('vast', 1);
    writeFileSync(path!, ggufFile({ 'split.count': { u32: 65_535 } }, {}));
    await expect(openGguf(path!)).rejects.toThrow(/is one of 65535 parts/u);
  });
});
