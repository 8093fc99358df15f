/**
 * GGUF files, versions 2 and 3: metadata, and where the tensors lie. Tensor data is not read here.
 *
 * File, little-endian: "GGUF", u32 version, u64 tensors, u64 metadata entries; the entries (string key, u32 type, value);
 * the tensor infos (string name, u32 dimensions, u64 sizes with the fastest first, u32 type, u64 offset); padding; the
 * data, in which each tensor starts at a multiple of `general.alignment`, right after the one before. A string is a u64
 * length and so many bytes; an array is u32 type, u64 count, elements.
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the checks are those of ggml's own reader.
 */
import { readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { WeightFormat } from '../device/device.js';
import { LodestoneError } from '../errors.js';
import { layouts } from './blocks.js';
import { badFile } from './errors.js';
import { isPart, joinParts } from './gguf-parts.js';
import type { Checkpoint, TensorEntry } from './safetensors.js';

/** 64-bit integers that a number can't hold are bigints. */
export type GgufValue = number | bigint | boolean | string | GgufArray;
export type GgufArray = readonly string[] | readonly boolean[] | ArrayLike<number> | ArrayLike<bigint>;

/** Tensors have torch's order of sizes, [outputs, inputs], and a dtype in ggml's spelling: F32, Q4_K, ... */
export interface Gguf extends Checkpoint {
  /** Of several parts the first. */
  readonly path: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
}

/** A metadata value, or its absence, for a message. */
export function showValue(value: GgufValue | undefined): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'object') return `a list of ${value.length}`;
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

/** Elements that a tensor type stores together, and their bytes; null where nobody here reads them. */
interface TensorType {
  readonly name: string;
  readonly block: { readonly elements: number; readonly bytes: number } | null;
}

const known = (format: WeightFormat): TensorType => ({ name: format.toUpperCase(), block: layouts[format] });
const unread = (name: string): TensorType => ({ name, block: null });

/** By ggml's number. */
const tensorTypes: ReadonlyMap<number, TensorType> = new Map([
  [0, known('f32')],
  [1, known('f16')],
  [2, known('q4_0')],
  [3, known('q4_1')],
  [6, known('q5_0')],
  [7, known('q5_1')],
  [8, known('q8_0')],
  [9, unread('Q8_1')],
  [10, unread('Q2_K')],
  [11, unread('Q3_K')],
  [12, known('q4_k')],
  [13, known('q5_k')],
  [14, known('q6_k')],
  [15, unread('Q8_K')],
  [16, unread('IQ2_XXS')],
  [17, unread('IQ2_XS')],
  [18, unread('IQ3_XXS')],
  [19, unread('IQ1_S')],
  [20, unread('IQ4_NL')],
  [21, unread('IQ3_S')],
  [22, unread('IQ2_S')],
  [23, unread('IQ4_XS')],
  [24, unread('I8')],
  [25, unread('I16')],
  [26, unread('I32')],
  [27, unread('I64')],
  [28, unread('F64')],
  [29, unread('IQ1_M')],
  [30, known('bf16')],
  [34, unread('TQ1_0')],
  [35, unread('TQ2_0')],
  [39, unread('MXFP4')],
]);

/** Numeric metadata types, by number: bytes, and how an array of them is read. */
const numbers: ReadonlyMap<number, { readonly bytes: number; readonly array: new (buffer: ArrayBuffer) => ArrayLike<number> | ArrayLike<bigint> }> =
  new Map<number, { bytes: number; array: new (buffer: ArrayBuffer) => ArrayLike<number> | ArrayLike<bigint> }>([
    [0, { bytes: 1, array: Uint8Array }],
    [1, { bytes: 1, array: Int8Array }],
    [2, { bytes: 2, array: Uint16Array }],
    [3, { bytes: 2, array: Int16Array }],
    [4, { bytes: 4, array: Uint32Array }],
    [5, { bytes: 4, array: Int32Array }],
    [6, { bytes: 4, array: Float32Array }],
    [10, { bytes: 8, array: BigUint64Array }],
    [11, { bytes: 8, array: BigInt64Array }],
    [12, { bytes: 8, array: Float64Array }],
  ]);
const booleanType = 7;
const stringType = 8;
const arrayType = 9;

/** Above these a header is taken for damage. The largest real ones have 16 MB and a few thousand tensors. */
const limits = { header: 2 ** 27, tensors: 2 ** 16, entries: 2 ** 16, nameBytes: 2 ** 16, alignment: 2 ** 20 };

/** Reads a file from its beginning, a window at a time. */
class Cursor {
  position = 0;
  #window = Buffer.alloc(0);
  #windowStart = 0;

  constructor(
    readonly path: string,
    private readonly fd: number,
    readonly size: number,
  ) {}

  fail(what: string): never {
    throw badFile(this.path, what);
  }

  /** The next bytes; they are overwritten later. `what` they belong to is for the message. */
  take(bytes: number, what: string): Buffer {
    if (bytes > this.size - this.position) {
      this.fail(`${what} ends beyond the ${this.size} bytes of the file; is the download complete?`);
    }
    if (this.position + bytes > limits.header) this.fail(`${what} would make the header longer than ${limits.header} bytes`);
    const from = this.position - this.#windowStart;
    if (from + bytes > this.#window.length) this.#fill(bytes);
    const start = this.position - this.#windowStart;
    this.position += bytes;
    return this.#window.subarray(start, start + bytes);
  }

  #fill(bytes: number): void {
    const wanted = Math.min(Math.max(bytes, 2 ** 20), this.size - this.position);
    const window = Buffer.alloc(wanted);
    for (let got = 0; got < wanted; ) {
      const read = readSync(this.fd, window, got, wanted - got, this.position + got);
      if (read === 0) this.fail('ends too early');
      got += read;
    }
    this.#window = window;
    this.#windowStart = this.position;
  }

  u32(what: string): number {
    return this.take(4, what).readUInt32LE();
  }

  /** A u64 that is a count, a size or an offset. */
  size64(what: string, most = Number.MAX_SAFE_INTEGER): number {
    const bytes = this.take(8, what);
    const value = bytes.readUInt32LE(4) * 2 ** 32 + bytes.readUInt32LE();
    if (value > most) this.fail(`${what} is ${bytes.readBigUInt64LE()}, more than ${most}`);
    return value;
  }

  /** `strict`: must be UTF-8; elsewhere what is not becomes U+FFFD. */
  text(what: string, strict: boolean, most = limits.header): string {
    const bytes = this.take(this.size64(`the length of ${what}`, most), what);
    if (!strict) return bytes.toString('utf8');
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.fail(`${what} is not UTF-8`);
    }
  }
}

/** Of a model in several parts: any of them opens all. Errors: LodestoneError(badModel), one line that says what is wrong with the file. */
export async function openGguf(path: string): Promise<Gguf> {
  const file = await openFile(path);
  return isPart(file) ? joinParts(file, openFile) : file;
}

async function openFile(path: string): Promise<Gguf> {
  const file = await open(path).catch((cause: unknown) => {
    throw badFile(path, `can't be opened (${(cause as Error).message})`, cause);
  });
  try {
    const info = await file.stat();
    if (!info.isFile()) throw badFile(path, 'is not a file');
    return readGguf(new Cursor(path, file.fd, info.size));
  } catch (cause) {
    if (cause instanceof LodestoneError) throw cause;
    throw badFile(path, `can't be read (${(cause as Error).message})`, cause);
  } finally {
    await file.close();
  }
}

function readGguf(cursor: Cursor): Gguf {
  const { path } = cursor;
  const magic = cursor.take(Math.min(4, cursor.size), 'the magic number');
  if (magic.toString('latin1') !== 'GGUF') cursor.fail('is not a GGUF file');
  const version = cursor.u32('the version');
  if (version === 1) cursor.fail('is GGUF version 1, of before August 2023; convert it again');
  if (version !== 2 && version !== 3) {
    cursor.fail((version & 0xffff) === 0 ? 'is a big-endian GGUF file, which is not supported' : `is GGUF version ${version}; 2 and 3 are supported`);
  }
  const tensorCount = cursor.size64('the number of tensors', limits.tensors);
  const entryCount = cursor.size64('the number of metadata entries', limits.entries);
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entryCount; i++) {
    const key = cursor.text(`metadata key ${i}`, true, limits.nameBytes);
    if (metadata.has(key)) cursor.fail(`the metadata names ${JSON.stringify(key)} twice`);
    metadata.set(key, readValue(cursor, cursor.u32(`the type of ${key}`), key));
  }
  const tensors = readTensors(cursor, tensorCount, alignmentOf(cursor, metadata));
  return { path, metadata, tensors, files: [path] };
}

function readValue(cursor: Cursor, type: number, key: string): GgufValue {
  if (type === stringType) return cursor.text(key, false);
  if (type === booleanType) return readBoolean(cursor, key);
  if (type === arrayType) return readArray(cursor, key);
  const number = numbers.get(type);
  if (!number) return cursor.fail(`${key} is of type ${type}, which metadata does not have`);
  const value = new number.array(copyOf(cursor.take(number.bytes, key)))[0]!;
  return typeof value === 'bigint' && BigInt(Number(value)) === value && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function readBoolean(cursor: Cursor, key: string): boolean {
  const byte = cursor.take(1, key)[0]!;
  if (byte > 1) cursor.fail(`${key} is ${byte}, neither true nor false`);
  return byte === 1;
}

function readArray(cursor: Cursor, key: string): GgufArray {
  const type = cursor.u32(`the element type of ${key}`);
  const count = cursor.size64(`the length of ${key}`);
  if (type === arrayType) return cursor.fail(`${key} is an array of arrays`);
  const number = numbers.get(type);
  if (number) return new number.array(copyOf(cursor.take(count * number.bytes, key)));
  if (type !== stringType && type !== booleanType) return cursor.fail(`${key} is an array of type ${type}, which metadata does not have`);
  // Each takes so many bytes at least; said before the array grows.
  const least = count * (type === stringType ? 8 : 1);
  if (least > cursor.size - cursor.position) return cursor.fail(`${key} has ${count} elements, more than the file has room for`);
  if (type === booleanType) {
    const out: boolean[] = [];
    for (let i = 0; i < count; i++) out.push(readBoolean(cursor, key));
    return out;
  }
  const out: string[] = [];
  for (let i = 0; i < count; i++) out.push(cursor.text(key, false));
  return out;
}

/** Aligned, and not overwritten. */
function copyOf(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
}

function alignmentOf(cursor: Cursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const value = metadata.get('general.alignment') ?? 32;
  const valid = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= limits.alignment && (value & (value - 1)) === 0;
  return valid ? value : cursor.fail(`general.alignment is ${showValue(value)}, not a power of two up to ${limits.alignment}`);
}

interface TensorInfo {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  /** From the start of the data. */
  readonly offset: number;
}

function readTensors(cursor: Cursor, count: number, alignment: number): Map<string, TensorEntry> {
  const infos = Array.from({ length: count }, (_, i) => readTensorInfo(cursor, i));
  const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;
  const dataStart = padded(cursor.position);
  const tensors = new Map<string, TensorEntry>();
  /** Where the next tensor must start; after one whose size is not known here, where it may start at the earliest. */
  let next = 0;
  let exact = true;
  for (const { name, type, shape, offset } of infos) {
    const fail = (what: string): never => cursor.fail(`tensor ${name} ${what}`);
    if (tensors.has(name)) cursor.fail(`has two tensors ${name}`);
    if (offset % alignment !== 0) fail(`starts at ${offset}, which is not a multiple of the alignment ${alignment}`);
    if (offset < next) fail(`starts at ${offset}, inside or before the tensor that comes first (which ends at ${next})`);
    if (offset > next && exact) fail(`starts at ${offset}, but the tensor before it ends at ${next}`);
    const bytes = type.block === null ? 0 : bytesOf(shape, type.block, fail);
    const end = dataStart + offset + bytes;
    if (end > cursor.size) fail(`ends at byte ${end}, but the file has ${cursor.size}; is the download complete?`);
    tensors.set(name, { name, dtype: type.name, shape, path: cursor.path, offset: dataStart + offset, bytes });
    next = padded(offset + bytes);
    exact = type.block !== null;
  }
  return tensors;
}

function readTensorInfo(cursor: Cursor, i: number): TensorInfo {
  const name = cursor.text(`the name of tensor ${i}`, true, limits.nameBytes);
  const dimensions = cursor.u32(`tensor ${name}`);
  if (dimensions < 1 || dimensions > 4) cursor.fail(`tensor ${name} has ${dimensions} dimensions, not 1 to 4`);
  const sizes = Array.from({ length: dimensions }, () => cursor.size64(`a size of tensor ${name}`));
  if (sizes.includes(0)) cursor.fail(`tensor ${name} has a size of 0`);
  const number = cursor.u32(`the type of tensor ${name}`);
  const type = tensorTypes.get(number);
  if (!type) return cursor.fail(`tensor ${name} is of type ${number}, which is not known`);
  return { name, type, shape: sizes.reverse(), offset: cursor.size64(`the offset of tensor ${name}`) };
}

function bytesOf(shape: readonly number[], block: { readonly elements: number; readonly bytes: number }, fail: (what: string) => never): number {
  const row = shape.at(-1)!;
  if (row % block.elements !== 0) return fail(`has rows of ${row} elements, which are no whole blocks of ${block.elements}`);
  const bytes = shape.reduce((product, size) => product * BigInt(size), 1n) / BigInt(block.elements) * BigInt(block.bytes);
  return bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : fail(`would take ${bytes} bytes`);
}
