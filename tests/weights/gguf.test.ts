/** What a GGUF file may look like, and every way in which one is refused. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MetadataEntry } from '../../src/weights/gguf-header.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { parseGgufConfig } from '../../src/gemma/gguf-config.js';
import { locateGgufWeights } from '../../src/gemma/weights.js';
import { openGgufTokenizer } from '../../src/encode/gguf-tokenizer.js';
import { openGguf, type Gguf } from '../../src/weights/gguf.js';
import { randomizer } from '../device/cases.js';
import { fixtureDir, withTempDir } from '../runtime/fixture.js';
import { ggufFile, type GgufTensorData } from './gguf-files.js';
import { expectRefusal } from './refusal.js';

const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value: number | bigint): Buffer => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const text = (value: string | Uint8Array): Buffer => Buffer.concat([u64(Buffer.from(value).length), Buffer.from(value)]);
const start = (tensors: number | bigint, entries: number | bigint, version = 3): Buffer => Buffer.concat([Buffer.from('GGUF'), u32(version), u64(tensors), u64(entries)]);
const entry = (key: string | Uint8Array, type: number, ...value: Uint8Array[]): Buffer => Buffer.concat([text(key), u32(type), ...value]);
const info = (name: string | Uint8Array, sizes: readonly (number | bigint)[], type: number, offset: number | bigint): Buffer =>
  Buffer.concat([text(name), u32(sizes.length), ...sizes.map(u64), u32(type), u64(offset)]);
/** Pads the header and adds so many bytes of data. */
const withData = (header: Buffer, bytes: number): Buffer => Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(bytes)]);

function open(bytes: Uint8Array): Promise<Gguf> {
  return withTempDir((dir) => {
    const path = join(dir, 'x.gguf');
    writeFileSync(path, bytes);
    return openGguf(path);
  });
}

const f32Bytes = (values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
const metadata: Record<string, MetadataEntry> = {
  'general.architecture': { text: 'gemma3' },
  'a.number': { u32: 7 },
  'a.fraction': { f32: 0.5 },
  'a.flag': { bool: true },
  texts: { texts: ['', 'é', '\u2581'] },
  scores: { f32s: Float32Array.of(-1, 2.5) },
  types: { i32s: Int32Array.of(-1, 3) },
  flags: { bools: [true, false] },
};
const tensors: Record<string, GgufTensorData> = {
  first: { sizes: [3, 2], type: 0, bytes: f32Bytes([1, 2, 3, 4, 5, 6]) },
  blocks: { sizes: [64, 3], type: 2, bytes: new Uint8Array(3 * 2 * 18).fill(1) },
  last: { sizes: [5], type: 1, bytes: new Uint8Array(10).fill(2) },
};

describe('a file', () => {
  it('gives its metadata and the places of its tensors', async () => {
    const bytes = ggufFile(metadata, tensors);
    const gguf = await open(bytes);
    expect(Object.fromEntries(gguf.metadata)).toEqual({
      'general.architecture': 'gemma3',
      'a.number': 7,
      'a.fraction': 0.5,
      'a.flag': true,
      texts: ['', 'é', '\u2581'],
      scores: Float32Array.of(-1, 2.5),
      types: Int32Array.of(-1, 3),
      flags: [true, false],
    });
    expect([...gguf.tensors.values()].map(({ name, dtype, shape, bytes: size }) => [name, dtype, shape, size])).toEqual([
      ['first', 'F32', [2, 3], 24],
      ['blocks', 'Q4_0', [3, 64], 108],
      ['last', 'F16', [5], 10],
    ]);
    for (const [name, { offset, bytes: size }] of gguf.tensors) expect(new Uint8Array(bytes.subarray(offset, offset + size)), name).toEqual(tensors[name]!.bytes);
  });

  it('of version 2, without padding at the end, with bytes left over, or without tensors is read', async () => {
    const bytes = ggufFile(metadata, tensors);
    const two = Buffer.from(bytes);
    two.writeUInt32LE(2, 4);
    for (const file of [two, bytes.subarray(0, bytes.length - 22), Buffer.concat([bytes, Buffer.alloc(100)])]) expect((await open(file)).tensors.size).toBe(3);
    expect((await open(start(0, 0))).tensors.size).toBe(0);
  });

  it('may have any numeric type, and numbers of 64 bits', async () => {
    const i16 = Buffer.from(Int16Array.of(-2).buffer);
    const file = Buffer.concat([
      start(0, 7),
      entry('u8', 0, Buffer.of(255)),
      entry('i8', 1, Buffer.of(255)),
      entry('u16', 2, i16),
      entry('i16', 3, i16),
      entry('small', 10, u64(5)),
      entry('large', 10, u64(2n ** 60n)),
      entry('f64', 12, Buffer.from(Float64Array.of(0.1).buffer)),
    ]);
    expect(Object.fromEntries((await open(file)).metadata)).toEqual({ u8: 255, i8: -1, u16: 65_534, i16: -2, small: 5, large: 2n ** 60n, f64: 0.1 });
  });

  it('may align its tensors otherwise, and hold types that nobody reads here', async () => {
    const header = Buffer.concat([start(3, 1), entry('general.alignment', 4, u32(128)), info('a', [256], 20, 0), info('b', [4], 0, 256), info('c', [1], 26, 384)]);
    const file = Buffer.concat([header, Buffer.alloc(128 * 4)]);
    const { tensors: found } = await open(file);
    const dataStart = Math.ceil(header.length / 128) * 128;
    expect([...found.values()].map(({ dtype, offset }) => [dtype, offset - dataStart])).toEqual([
      ['IQ4_NL', 0],
      ['F32', 256],
      ['I32', 384],
    ]);
  });

  it('longer than a window is read across its edges', async () => {
    const texts = Array.from({ length: 60_000 }, (_, i) => `token ${i} ${'x'.repeat(i % 40)}`);
    const gguf = await open(ggufFile({ texts: { texts }, after: { u32: 3 } }, tensors));
    expect(gguf.metadata.get('texts')).toEqual(texts);
    expect(gguf.metadata.get('after')).toBe(3);
  });
});

describe('a file is refused', () => {
  const tensor = (...infos: Buffer[]): Buffer => withData(Buffer.concat([start(infos.length, 0), ...infos]), 256);
  const huge = 2n ** 63n;
  it.each<[string, Uint8Array, RegExp]>([
    ['empty', new Uint8Array(0), /is not a GGUF file/],
    ['of three bytes', Buffer.from('GGU'), /is not a GGUF file/],
    ['of another kind', Buffer.from('PK\u0003\u0004 and more'), /is not a GGUF file/],
    ['that ends after its magic number', Buffer.from('GGUF'), /the version ends beyond the 4 bytes of the file/],
    ['of version 1', start(0, 0, 1), /is GGUF version 1/],
    ['of version 4', start(0, 0, 4), /is GGUF version 4; 2 and 3 are supported/],
    ['that is big-endian', start(0, 0, 0x03000000), /is a big-endian GGUF file/],
    ['that ends in its counts', start(0, 0).subarray(0, 20), /the number of metadata entries ends beyond/],
    ['with more tensors than any', start(2 ** 20, 0), /the number of tensors is 1048576, more than 65536/],
    ['with a number of tensors beyond all bounds', start(huge, 0), /the number of tensors is 9223372036854775808/],
    ['with more metadata than any', start(0, huge), /the number of metadata entries is/],
    ['with fewer tensors than it says', start(1, 0), /the length of the name of tensor 0 ends beyond/],
    ['with less metadata than it says', start(0, 1), /the length of metadata key 0 ends beyond/],
    ['with a key longer than the file', Buffer.concat([start(0, 1), u64(1000)]), /metadata key 0 ends beyond/],
    ['with a key of absurd length', Buffer.concat([start(0, 1), u64(huge)]), /the length of metadata key 0 is 9223372036854775808, more than 65536/],
    ['with a key that is not UTF-8', Buffer.concat([start(0, 1), entry(Buffer.of(0xff), 4, u32(1))]), /metadata key 0 is not UTF-8/],
    ['with a key twice', Buffer.concat([start(0, 2), entry('k', 4, u32(1)), entry('k', 4, u32(1))]), /names "k" twice/],
    ['with a key that would write to the terminal', Buffer.concat([start(0, 1), entry('\u001b[2J\n', 99)]), /\\u001b\[2J\\u000a is of type 99/],
    ['with a value of no type', Buffer.concat([start(0, 1), entry('k', 13)]), /k is of type 13, which metadata does not have/],
    ['with a flag that is neither', Buffer.concat([start(0, 1), entry('k', 7, Buffer.of(2))]), /k is 2, neither true nor false/],
    ['with a text longer than the file', Buffer.concat([start(0, 1), entry('k', 8, u64(2 ** 26))]), /k ends beyond/],
    ['with an array of arrays', Buffer.concat([start(0, 1), entry('k', 9, u32(9), u64(1))]), /k is an array of arrays/],
    ['with an array of no type', Buffer.concat([start(0, 1), entry('k', 9, u32(77), u64(1))]), /k is an array of type 77/],
    ['with an array of more numbers than it has', Buffer.concat([start(0, 1), entry('k', 9, u32(4), u64(2 ** 40))]), /k ends beyond/],
    ['with an array of more texts than it has', Buffer.concat([start(0, 1), entry('k', 9, u32(8), u64(2 ** 30))]), /k has 1073741824 elements, more than the file has room for/],
    ['with an array of more flags than it has', Buffer.concat([start(0, 1), entry('k', 9, u32(7), u64(2 ** 30))]), /k has 1073741824 elements/],
    ['with an array of absurd length', Buffer.concat([start(0, 1), entry('k', 9, u32(4), u64(huge))]), /the length of k is 9223372036854775808/],
    ['with an alignment of 0', Buffer.concat([start(0, 1), entry('general.alignment', 4, u32(0))]), /general\.alignment is 0, not a power of two/],
    ['with an alignment of 24', Buffer.concat([start(0, 1), entry('general.alignment', 4, u32(24))]), /general\.alignment is 24/],
    ['with an alignment that is a text', Buffer.concat([start(0, 1), entry('general.alignment', 8, text('32'))]), /general\.alignment is "32", not/],
    ['that is a part of several', Buffer.concat([start(0, 1), entry('split.count', 2, Buffer.of(3, 0))]), /is one of 3 parts, which must lie side by side under the names NAME-00001-of-00003\.gguf to NAME-00003-of-00003\.gguf/],
    ['with a tensor of no dimensions', tensor(info('t', [], 0, 0)), /tensor t has 0 dimensions, not 1 to 4/],
    ['with a tensor of five dimensions', tensor(info('t', [1, 1, 1, 1, 1], 0, 0)), /tensor t has 5 dimensions/],
    ['with a tensor of absurdly many dimensions', withData(Buffer.concat([start(1, 0), text('t'), u32(0xffffffff)]), 64), /tensor t has 4294967295 dimensions/],
    ['with a size of 0', tensor(info('t', [0, 4], 0, 0)), /tensor t has a size of 0/],
    ['with an absurd size', tensor(info('t', [huge], 0, 0)), /a size of tensor t is 9223372036854775808/],
    ['with sizes whose product overflows', tensor(info('t', [2 ** 40, 2 ** 40], 0, 0)), /tensor t would take \d{20,} bytes/],
    ['with a type that is not known', tensor(info('t', [4], 4, 0)), /tensor t is of type 4, which is not known/],
    ['with a row that is no whole blocks', tensor(info('t', [48, 2], 2, 0)), /tensor t has rows of 48 elements, which are no whole blocks of 32/],
    ['with a row that is no whole K blocks', tensor(info('t', [640], 12, 0)), /no whole blocks of 256/],
    ['with an offset that is not aligned', tensor(info('t', [4], 0, 4)), /tensor t starts at 4, which is not a multiple of the alignment 32/],
    ['with an absurd offset', tensor(info('t', [4], 0, huge)), /the offset of tensor t is 9223372036854775808/],
    ['with a hole in front', tensor(info('t', [4], 0, 32)), /tensor t starts at 32, but the tensor before it ends at 0/],
    ['with a hole', tensor(info('t', [4], 0, 0), info('u', [4], 0, 64)), /tensor u starts at 64, but the tensor before it ends at 32/],
    ['with overlapping tensors', tensor(info('t', [16], 0, 0), info('u', [4], 0, 32)), /tensor u starts at 32, inside or before the tensor that comes first \(which ends at 64\)/],
    ['with two tensors in one place', tensor(info('t', [4], 0, 0), info('u', [4], 0, 0)), /tensor u starts at 0, inside/],
    ['with tensors out of order', tensor(info('t', [4], 0, 32), info('u', [4], 0, 0)), /tensor t starts at 32/],
    ['with a tensor before one that nobody reads here', tensor(info('t', [4], 0, 0), info('u', [4], 26, 64), info('v', [4], 0, 32)), /tensor u starts at 64/],
    ['with a tensor twice', tensor(info('t', [4], 0, 0), info('t', [4], 0, 32)), /has two tensors t/],
    ['with a tensor beyond the end', tensor(info('t', [65], 0, 0)), /tensor t ends at byte \d+, but the file has \d+; is the download complete\?/],
    ['with a tensor nobody reads here beyond the end', tensor(info('t', [4], 0, 0), info('u', [4], 26, 32), info('v', [4], 26, 2 ** 30)), /tensor v ends at byte/],
    ['with a name that is not UTF-8', tensor(info(Buffer.of(0xc0), [4], 0, 0)), /the name of tensor 0 is not UTF-8/],
    ['with a name that would write to the terminal', tensor(info('\u001b[2J', [4], 4, 0)), /tensor \\u001b\[2J is of type 4/],
  ])('%s', async (_, bytes, message) => {
    await expectRefusal(open(bytes), message);
  });

  it('that is a directory, or not there', async () => {
    await withTempDir(async (dir) => {
      mkdirSync(join(dir, 'x.gguf'));
      await expectRefusal(openGguf(join(dir, 'x.gguf')), /x\.gguf: is not a file/);
      await expectRefusal(openGguf(join(dir, 'y.gguf')), /y\.gguf: can't be opened \(ENOENT/);
    });
  });
});

it('cut anywhere in its header, is refused', async () => {
  const bytes = ggufFile(metadata, tensors);
  await withTempDir(async (dir) => {
    const path = join(dir, 'x.gguf');
    const data = bytes.length - 32 - 128 - 32;
    for (let length = 0; length < data; length += 3) {
      writeFileSync(path, bytes.subarray(0, length));
      await expectRefusal(openGguf(path), /./);
    }
  });
});

async function openAll(path: string): Promise<void> {
  const gguf = await openGguf(path);
  const config = parseGgufConfig(gguf);
  locateGgufWeights(gguf, config);
  openGgufTokenizer(gguf, config.vocabSize);
}

it('1500 random corruptions of a model are refused with one line, or leave a file that can be read', async () => {
  const random = randomizer(11);
  const below = (n: number): number => Math.floor(((random() + 1) / 2) * n);
  const good = readFileSync(join(fixtureDir, 'q4_0.gguf'));
  const headerBytes = 18_688;
  const interesting = [0, 1, 0x7f, 0x80, 0xff];
  let refused = 0;
  let opened = 0;
  await withTempDir(async (dir) => {
    const path = join(dir, 'x.gguf');
    for (let round = 0; round < 1500; round++) {
      let bytes = Buffer.from(good);
      // The keys, the tokens and the tensor infos in turn.
      const [from, to] = [[0, 1200], [1200, headerBytes - 6000], [headerBytes - 6000, headerBytes]][round % 3]! as [number, number];
      for (let flips = below(3); flips >= 0; flips--) {
        const at = from + below(to - from);
        bytes[at] = round % 2 === 0 ? bytes[at]! ^ (1 << below(8)) : interesting[below(interesting.length)]!;
      }
      if (round % 11 === 0) bytes = bytes.subarray(0, below(bytes.length));
      writeFileSync(path, bytes);
      const error: unknown = await openAll(path).then(
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
      expect((error as LodestoneError).message).not.toMatch(/[\n\r\u001b]/);
    }
  });
  expect(refused).toBeGreaterThan(500);
  expect(opened).toBeGreaterThan(100);
});
