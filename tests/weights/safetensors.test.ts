/** What a safetensors checkpoint may look like, and every way in which one is refused. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { readTensorF32 } from '../../src/weights/read.js';
import { openCheckpoint, openSafetensors } from '../../src/weights/safetensors.js';
import { randomizer } from '../device/cases.js';
import { withTempDir } from '../runtime/fixture.js';
import { f32Tensor, quantizedTensor, safetensorsFile, withHeader, writeSafetensors, type TensorData, type Tensors } from './files.js';
import { expectRefusal } from './refusal.js';

const two: Tensors = {
  a: f32Tensor([2, 3], Float32Array.of(1, -2, 3, -4, 5, 6.5)),
  // 1, -2, 0.5 in the two 16-bit floats
  b: { dtype: 'F16', shape: [3], bytes: Uint8Array.of(0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38) },
  c: { dtype: 'BF16', shape: [3, 1], bytes: Uint8Array.of(0x80, 0x3f, 0x00, 0xc0, 0x00, 0x3f) },
};
const expected = { a: [1, -2, 3, -4, 5, 6.5], b: [1, -2, 0.5], c: [1, -2, 0.5] };

async function valuesIn(dir: string): Promise<Record<string, readonly number[]>> {
  const { tensors } = await openCheckpoint(dir);
  const read = [...tensors].filter(([, { dtype }]) => dtype !== 'Q4_0').map(async ([name, entry]) => [name, [...(await readTensorF32(entry))]] as const);
  return Object.fromEntries(await Promise.all(read));
}

/** Opens a directory in which model.safetensors is these bytes. */
function openBytes(bytes: Uint8Array): Promise<unknown> {
  return withTempDir((dir) => {
    writeFileSync(join(dir, 'model.safetensors'), bytes);
    return openCheckpoint(dir);
  });
}

describe('a checkpoint', () => {
  it('in one file: f32, f16 and bf16', async () => {
    await withTempDir(async (dir) => {
      writeSafetensors(join(dir, 'model.safetensors'), two);
      expect(await valuesIn(dir)).toEqual(expected);
      const { tensors, files } = await openCheckpoint(dir);
      expect(tensors.get('c')).toMatchObject({ name: 'c', dtype: 'BF16', shape: [3, 1], bytes: 6 });
      expect(files).toEqual([join(dir, 'model.safetensors')]);
    });
  });

  it('in shards, as the index says', async () => {
    await withTempDir(async (dir) => {
      writeSafetensors(join(dir, 'one.safetensors'), { a: two['a']!, c: two['c']! });
      writeSafetensors(join(dir, 'two.safetensors'), { b: two['b']! });
      const weight_map = { a: 'one.safetensors', b: 'two.safetensors', c: 'one.safetensors' };
      writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }));
      expect(await valuesIn(dir)).toEqual(expected);
      expect((await openCheckpoint(dir)).files).toEqual([join(dir, 'one.safetensors'), join(dir, 'two.safetensors')]);
    });
  });

  it('with a header padded by spaces, tensors listed out of order, empty tensors and no metadata', async () => {
    const entries = {
      late: { dtype: 'U8', shape: [2], data_offsets: [1, 3] },
      early: { dtype: 'U8', shape: [], data_offsets: [0, 1] },
      none: { dtype: 'F32', shape: [0, 4], data_offsets: [1, 1] },
    };
    await expect(openBytes(withHeader(`${JSON.stringify(entries)}     `, new Uint8Array(3)))).resolves.toBeDefined();
  });

  it('with data at an odd offset', async () => {
    await withTempDir(async (dir) => {
      const header = JSON.stringify({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } });
      const odd = header.length % 2 === 0 ? `${header} ` : header;
      writeFileSync(join(dir, 'model.safetensors'), withHeader(odd, new Uint8Array(Float32Array.of(2.5).buffer)));
      expect(await valuesIn(dir)).toEqual({ a: [2.5] });
    });
  });
});

describe('a file is refused', () => {
  const entry = (fields: object): Uint8Array => withHeader(JSON.stringify({ x: fields }), new Uint8Array(8));
  const pair = (x: object, y: object): Uint8Array => withHeader(JSON.stringify({ x, y }), new Uint8Array(8));
  const fourBytes = (begin: number): object => ({ dtype: 'F32', shape: [1], data_offsets: [begin, begin + 4] });
  const good = safetensorsFile(two);
  const longHeader = (length: bigint): Uint8Array => {
    const file = good.slice();
    new DataView(file.buffer).setBigUint64(0, length, true);
    return file;
  };

  it.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /0 bytes long, too short/],
    ['shorter than the header length', new Uint8Array(7), /7 bytes long, too short/],
    ['with a header longer than the file', longHeader(1_000_000n), /header of 1000000 bytes, but the file has/],
    ['with a header longer than any', longHeader(2n ** 63n), /not a safetensors file/],
    ['without a header', withHeader('', new Uint8Array(0)), /the header is not JSON/],
    ['whose header is not UTF-8', withHeader(Uint8Array.of(0x7b, 0xff, 0x7d), new Uint8Array(0)), /the header is not UTF-8/],
    ['whose header has a byte order mark', withHeader('\uFEFF{}', new Uint8Array(0)), /the header is not JSON/],
    ['whose header is not JSON', withHeader('{"a":', new Uint8Array(0)), /the header is not JSON/],
    ['whose header is a list', withHeader('[]', new Uint8Array(0)), /not a JSON object/],
    ['whose header is null', withHeader('null', new Uint8Array(0)), /not a JSON object/],
    ['with metadata that is no object', withHeader('{"__metadata__":3}', new Uint8Array(0)), /__metadata__ is not an object/],
    ['with a tensor that is no object', withHeader('{"x":[1]}', new Uint8Array(0)), /tensor x: is not an object/],
    ['with an unknown dtype', entry({ dtype: 'F31', shape: [2], data_offsets: [0, 8] }), /tensor x: unknown dtype "F31"/],
    ['with a dtype that objects inherit', entry({ dtype: 'constructor', shape: [2], data_offsets: [0, 8] }), /unknown dtype/],
    ['without a dtype', entry({ shape: [2], data_offsets: [0, 8] }), /has no dtype/],
    ['with a negative size', entry({ dtype: 'F32', shape: [-2], data_offsets: [0, 8] }), /shape \[-2\] is not a list of sizes/],
    ['with a fractional size', entry({ dtype: 'F32', shape: [0.5], data_offsets: [0, 2] }), /not a list of sizes/],
    ['with a shape that is no list', entry({ dtype: 'F32', shape: 2, data_offsets: [0, 8] }), /not a list of sizes/],
    ['with one offset', entry({ dtype: 'F32', shape: [2], data_offsets: [8] }), /not a pair of offsets/],
    ['with a negative offset', entry({ dtype: 'F32', shape: [2], data_offsets: [-8, 0] }), /not a pair of offsets/],
    ['with offsets the wrong way round', entry({ dtype: 'F32', shape: [2], data_offsets: [8, 0] }), /begin \(8\) after they end \(0\)/],
    ['with offsets that do not fit the shape', entry({ dtype: 'F32', shape: [3], data_offsets: [0, 8] }), /F32 \[3\] takes 12 bytes, but data_offsets span 8/],
    ['with a shape whose product overflows', entry({ dtype: 'F32', shape: [2 ** 52, 2 ** 52], data_offsets: [0, 8] }), /takes \d{30,} bytes/],
    ['with half a byte', entry({ dtype: 'F4', shape: [15], data_offsets: [0, 8] }), /takes 7 bytes/],
    ['with overlapping tensors', pair({ dtype: 'F32', shape: [2], data_offsets: [0, 8] }, fourBytes(4)), /tensor y overlaps/],
    ['with two tensors in one place', pair(fourBytes(0), fourBytes(0)), /overlaps/],
    ['with a hole', pair(fourBytes(0), { dtype: 'U8', shape: [2], data_offsets: [6, 8] }), /tensor y: 2 bytes before it belong to no tensor/],
    ['with a hole in front', entry(fourBytes(4)), /tensor x: 4 bytes before it/],
    ['with bytes left over', entry(fourBytes(0)), /4 bytes at the end belong to no tensor/],
    ['cut off', good.subarray(0, good.length - 1), /tensor c ends at byte \d+, but the file has \d+; is the download complete\?/],
    ['that names a tensor twice', withHeader('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', new Uint8Array(1)), /names "x" twice/],
    ['that names a tensor twice, once escaped', withHeader(String.raw`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0078":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, new Uint8Array(1)), /names "x" twice/],
    ['with a name that would write to the terminal', withHeader(String.raw`{"x\n\u001b[2J":{}}`, new Uint8Array(0)), /tensor x\\u000a\\u001b\[2J: has no dtype/],
    ['that says an offset twice', withHeader('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,9],"data_offsets":[0,1]}}', new Uint8Array(1)), /names "data_offsets" twice/],
  ])('%s', async (_, bytes, message) => {
    await expectRefusal(openBytes(bytes), message);
  });

  it('which is a directory, or not there', async () => {
    await withTempDir(async (dir) => {
      await expectRefusal(openCheckpoint(dir), /no model.safetensors and no model.safetensors.index.json/);
      mkdirSync(join(dir, 'model.safetensors'));
      await expectRefusal(openCheckpoint(dir), /is a directory, not a safetensors file/);
      await expectRefusal(openSafetensors(join(dir, 'other')), /no such file/);
    });
  });

  it('which gets shorter after it was opened', async () => {
    await withTempDir(async (dir) => {
      const path = join(dir, 'model.safetensors');
      writeSafetensors(path, two);
      const { tensors } = await openCheckpoint(dir);
      writeFileSync(path, safetensorsFile(two).subarray(0, -3));
      await expectRefusal(readTensorF32(tensors.get('c')!), /ends inside tensor c/);
      await expectRefusal(readTensorF32({ ...tensors.get('c')!, dtype: 'I16' }), /tensor c is I16, not F32, F16 or BF16/);
    });
  });
});

describe('an index is refused', () => {
  const openIndex = (index: string, shard = true): Promise<unknown> =>
    withTempDir((dir) => {
      writeFileSync(join(dir, 'model.safetensors.index.json'), index);
      if (shard) writeSafetensors(join(dir, 'one.safetensors'), two);
      return openCheckpoint(dir);
    });
  const map = (weight_map: unknown): string => JSON.stringify({ weight_map });

  it.each<[string, string, RegExp]>([
    ['that is not JSON', '{', /is not JSON/],
    ['without a weight map', '{}', /has no "weight_map" object/],
    ['with an empty weight map', map({}), /"weight_map" is empty/],
    ['that leads up', map({ a: '../one.safetensors' }), /"..\/one.safetensors" is not the name of a file beside the index/],
    ['that leads to its own directory', map({ a: '.' }), /not the name of a file/],
    ['that leads to the directory above', map({ a: '..' }), /not the name of a file/],
    ['that leads to a fixed place', map({ a: '/etc/passwd' }), /not the name of a file/],
    ['that leads up in the Windows way', map({ a: String.raw`..\one.safetensors` }), /not the name of a file/],
    ['that leads to a drive', map({ a: 'C:one.safetensors' }), /not the name of a file/],
    ['with a NUL', map({ a: 'one.safetensors\0.txt' }), /not the name of a file/],
    ['with a number for a file', map({ a: 1 }), /1 is not the name of a file/],
    ['with an empty name', map({ a: '' }), /not the name of a file/],
    ['that puts a tensor where it is not', map({ a: 'one.safetensors', z: 'one.safetensors' }), /tensor z is not in one.safetensors/],
    ['that names a tensor twice', '{"weight_map":{"a":"one.safetensors","a":"one.safetensors"}}', /names "a" twice/],
    ['whose shard is missing', map({ a: 'one.safetensors', b: 'two.safetensors' }), /shard two.safetensors is missing \(tensor b is in it\)/],
  ])('%s', async (_, index, message) => {
    await expectRefusal(openIndex(index), message);
  });
});

describe('blocks', () => {
  const dense: TensorData = { dtype: 'BF16', shape: [3, 64], bytes: new Uint8Array(3 * 64 * 2) };
  const open = (tensors: Tensors): Promise<Awaited<ReturnType<typeof openCheckpoint>>['tensors']> =>
    withTempDir(async (dir) => {
      writeSafetensors(join(dir, 'model.safetensors'), tensors);
      return (await openCheckpoint(dir)).tensors;
    });

  it('have the shape of their elements, each tensor in its own format, beside tensors without one', async () => {
    const tensors = await open({ big: quantizedTensor(dense, 'q8_0'), small: quantizedTensor(dense, 'q4_0'), plain: dense, bytes: { dtype: 'U8', shape: [34], bytes: new Uint8Array(34) } });
    expect(tensors.get('big')).toMatchObject({ dtype: 'Q8_0', shape: [3, 64], bytes: 3 * 2 * 34 });
    expect(tensors.get('small')).toMatchObject({ dtype: 'Q4_0', shape: [3, 64], bytes: 3 * 2 * 18 });
    expect(tensors.get('plain')).toMatchObject({ dtype: 'BF16', shape: [3, 64] });
    expect(tensors.get('bytes')).toMatchObject({ dtype: 'U8', shape: [34] });
    expect(tensors.get('small')!.offset).toBe(tensors.get('big')!.offset + 3 * 2 * 34);
  });

  const q4 = quantizedTensor(dense, 'q4_0');
  it.each<[string, Tensors, RegExp]>([
    ['in a format that is not known', { x: { ...q4, blockFormat: 'q5_0' } }, /gives a block format to x, "q5_0", which is not q8_0 or q4_0/],
    ['in a format that objects inherit', { x: { ...q4, blockFormat: 'constructor' } }, /"constructor", which is not/],
    ['with rows that are no whole blocks', { x: { ...q4, blockFormat: 'q8_0' } }, /q8_0, but its rows of 36 bytes are no whole blocks of 34/],
    ['with a block across two rows', { y: { ...q4, shape: [12, 9] } }, /y, q4_0, but its rows of 9 bytes are no whole blocks of 18/],
    ['of one dimension', { x: { ...q4, shape: [108] } }, /x, which is U8 \[108\], not U8 \[outputs, bytes of a row\]/],
    ['of another dtype', { x: { ...q4, dtype: 'BF16', shape: [3, 18] } }, /x, which is BF16 \[3, 18\], not U8/],
    ['cut short', { x: { ...q4, bytes: q4.bytes.subarray(18) } }, /U8 \[3, 36\] takes 108 bytes, but data_offsets span 90/],
  ])('%s are refused', async (_, tensors, message) => {
    await expectRefusal(open(tensors), message);
  });

  it.each([
    ['of a tensor that is not there', { 'block_format.x': 'q4_0' }, /gives a block format to x, which is not in the file/],
    ['that is no text', { 'block_format.a': 8 }, /to a, 8, which is not q8_0 or q4_0/],
    ['of itself', { 'block_format.__metadata__': 'q4_0' }, /to __metadata__, which is not in the file/],
  ])('a format %s is refused', async (_, metadata, message) => {
    const header = { __metadata__: metadata, a: { dtype: 'U8', shape: [1, 18], data_offsets: [0, 18] } };
    await expectRefusal(openBytes(withHeader(JSON.stringify(header), new Uint8Array(18))), message);
  });
});

it('500 random corruptions are either refused with one line or leave a readable checkpoint', async () => {
  const random = randomizer(5);
  const below = (n: number): number => Math.floor(((random() + 1) / 2) * n);
  const blocks = quantizedTensor({ dtype: 'BF16', shape: [1, 32], bytes: new Uint8Array(64) }, 'q4_0');
  const good = safetensorsFile({ ...two, d: blocks });
  const dataStart = good.length - 36 - 18;
  let refused = 0;
  let opened = 0;
  await withTempDir(async (dir) => {
    const path = join(dir, 'model.safetensors');
    for (let round = 0; round < 500; round++) {
      let bytes = good.slice();
      const from = round % 4 === 0 ? dataStart : 0;
      for (let flips = below(4); flips >= 0; flips--) bytes[from + below(good.length - from)]! ^= 1 << below(8);
      if (round % 5 === 0) bytes = bytes.slice(0, below(bytes.length + 1));
      if (round % 7 === 0) bytes = Uint8Array.from([...bytes, ...Array.from({ length: 1 + below(9) }, () => below(256))]);
      writeFileSync(path, bytes);
      const error: unknown = await valuesIn(dir).then(
        () => null,
        (reason: unknown) => reason,
      );
      if (error === null) {
        opened++;
        continue;
      }
      refused++;
      expect(error, `round ${round}`).toBeInstanceOf(LodestoneError);
      expect((error as LodestoneError).exitCode).toBe(ExitCode.badModel);
      expect((error as LodestoneError).message).not.toMatch(/[\n\r]/);
    }
  });
  expect(refused).toBeGreaterThan(250);
  expect(opened).toBeGreaterThan(20);
});
