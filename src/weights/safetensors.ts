/**
 * safetensors checkpoints, one file or sharded. Only headers are read here; a tensor is then a place in a file.
 *
 * File: u64 little-endian header length N, N bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}}, then the
 * data; offsets count from byte 8 + N. The checks are those of the format's own crate (no holes, no overlaps, nothing
 * left over), and what it leaves to JSON parsers: duplicate names.
 * Source: https://github.com/huggingface/safetensors#format.
 *
 * Quantised matrices, by a convention of our own: a matrix [outputs, inputs] in the block format q8_0 or q4_0 (see
 * `blocks.ts`) is a tensor of dtype U8 and shape [outputs, inputs / 32 * B], with B = 34 or 18 bytes a block: row after
 * row, in each row block after block. `__metadata__` names its format: {"block_format.<tensor>": "q8_0" or "q4_0"}. Each
 * tensor has a format of its own, or none. Here it becomes an entry of dtype Q8_0 or Q4_0 and shape [outputs, inputs].
 */
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LodestoneError } from '../errors.js';
import { blockSize, layouts, type BlockFormat } from './blocks.js';
import { badFile } from './errors.js';
import { duplicateKey, showJson } from './json.js';

/** Where a tensor lies, row-major and little-endian. */
export interface TensorEntry {
  readonly name: string;
  /** As the file spells it: F32, F16, BF16, ...; Q8_0 or Q4_0 where it holds such blocks. */
  readonly dtype: string;
  /** Row-major, of elements (not of blocks). */
  readonly shape: readonly number[];
  readonly path: string;
  /** Bytes from the start of the file; need not be aligned. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** Every file that holds tensors. */
  readonly files: readonly string[];
}

/** The crate's limit too. */
const maxHeaderBytes = 100_000_000;

const bitsPerElement: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
};

const blockFormats: Readonly<Record<BlockFormat, string>> = { q8_0: 'Q8_0', q4_0: 'Q4_0' };

/** In `__metadata__`, in front of a tensor's name: its block format. */
const blockFormatKey = 'block_format.';

/**
 * Opens the checkpoint of a model directory: `model.safetensors`, or the shards that `model.safetensors.index.json`
 * names. Errors: LodestoneError(badModel), one line with the file and the tensor.
 */
export async function openCheckpoint(dir: string): Promise<Checkpoint> {
  const single = join(dir, 'model.safetensors');
  if (await exists(single)) return { tensors: await openSafetensors(single), files: [single] };
  const index = join(dir, 'model.safetensors.index.json');
  if (await exists(index)) return openSharded(dir, index);
  throw badFile(dir, 'no model.safetensors and no model.safetensors.index.json in this directory');
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function openSharded(dir: string, indexPath: string): Promise<Checkpoint> {
  const index = parseObject(indexPath, await readRange(indexPath, 0, null));
  const weightMap = index['weight_map'];
  if (!isObject(weightMap)) throw badFile(indexPath, 'has no "weight_map" object');
  const shards = new Map<string, ReadonlyMap<string, TensorEntry>>();
  const tensors = new Map<string, TensorEntry>();
  for (const [name, file] of Object.entries(weightMap)) {
    // A shard lies beside its index: a plain file name, so that an index can't reach elsewhere.
    if (typeof file !== 'string' || !/^[^/\\\0:]+$/.test(file) || file === '.' || file === '..') {
      throw badFile(indexPath, `tensor ${name}: ${showJson(file)} is not the name of a file beside the index`);
    }
    const path = join(dir, file);
    let shard = shards.get(file);
    if (!shard) {
      if (!(await exists(path))) throw badFile(indexPath, `shard ${file} is missing (tensor ${name} is in it)`);
      shard = await openSafetensors(path);
      shards.set(file, shard);
    }
    const entry = shard.get(name);
    if (!entry) throw badFile(indexPath, `tensor ${name} is not in ${file}, where the index puts it`);
    tensors.set(name, entry);
  }
  if (tensors.size === 0) throw badFile(indexPath, '"weight_map" is empty');
  return { tensors, files: [...shards.keys()].map((file) => join(dir, file)) };
}

/** Reads and checks the header of one file: name -> where the tensor lies. */
export async function openSafetensors(path: string): Promise<Map<string, TensorEntry>> {
  const { metadata, entries, dataStart, fileBytes } = await readHeader(path);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, value] of Object.entries(entries)) tensors.set(name, parseEntry(path, name, value, dataStart));
  checkTiling(path, tensors, dataStart, fileBytes);
  for (const [key, format] of Object.entries(metadata)) {
    if (!key.startsWith(blockFormatKey)) continue;
    const name = key.slice(blockFormatKey.length);
    tensors.set(name, asBlocks(path, name, tensors.get(name), format));
  }
  return tensors;
}

/** The texts that a file carries beside its tensors. Errors: LodestoneError(badModel). */
export async function readSafetensorsMetadata(path: string): Promise<Readonly<Record<string, unknown>>> {
  return (await readHeader(path)).metadata;
}

interface Header {
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly entries: Readonly<Record<string, unknown>>;
  readonly dataStart: number;
  readonly fileBytes: number;
}

async function readHeader(path: string): Promise<Header> {
  const info = await stat(path).catch((cause: unknown) => {
    throw badFile(path, 'no such file', cause);
  });
  if (info.isDirectory()) throw badFile(path, 'is a directory, not a safetensors file');
  if (info.size < 8) throw badFile(path, `is ${info.size} bytes long, too short for a safetensors file`);
  const prefix = await readRange(path, 0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    throw badFile(path, `not a safetensors file: header of ${length} bytes (at most ${maxHeaderBytes})`);
  }
  const headerBytes = Number(length);
  if (8 + headerBytes > info.size) {
    throw badFile(path, `header of ${headerBytes} bytes, but the file has ${info.size}; is the download complete?`);
  }
  const { __metadata__: metadata = {}, ...entries } = parseObject(path, await readRange(path, 8, headerBytes));
  if (!isObject(metadata)) throw badFile(path, '__metadata__ is not an object');
  return { metadata, entries, dataStart: 8 + headerBytes, fileBytes: info.size };
}

/** The tensor of bytes as the matrix of blocks that the metadata calls it. */
function asBlocks(path: string, name: string, entry: TensorEntry | undefined, format: unknown): TensorEntry {
  const fail = (what: string): never => {
    throw badFile(path, `__metadata__ gives a block format to ${name}, ${what}`);
  };
  if (!entry) return fail('which is not in the file');
  if (typeof format !== 'string' || !Object.hasOwn(blockFormats, format)) {
    return fail(`${showJson(format)}, which is not ${Object.keys(blockFormats).join(' or ')}`);
  }
  const { dtype, shape } = entry;
  const { bytes } = layouts[format as BlockFormat];
  if (dtype !== 'U8' || shape.length !== 2) return fail(`which is ${dtype} [${shape.join(', ')}], not U8 [outputs, bytes of a row]`);
  const [outputs, rowBytes] = shape as [number, number];
  if (rowBytes % bytes !== 0) return fail(`${format}, but its rows of ${rowBytes} bytes are no whole blocks of ${bytes}`);
  return { ...entry, dtype: blockFormats[format as BlockFormat], shape: [outputs, (rowBytes / bytes) * blockSize] };
}

function parseEntry(path: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const fail = (what: string): never => {
    throw badFile(path, `tensor ${name}: ${what}`);
  };
  if (!isObject(value)) return fail('is not an object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !Object.hasOwn(bitsPerElement, dtype)) {
    return fail(dtype === undefined ? 'has no dtype' : `unknown dtype ${showJson(dtype)}`);
  }
  if (!Array.isArray(shape) || !shape.every(isSize)) return fail(`shape ${showJson(shape)} is not a list of sizes`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`data_offsets ${showJson(offsets)} is not a pair of offsets`);
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) return fail(`data_offsets begin (${begin}) after they end (${end})`);
  const bits = shape.reduce((product: bigint, size: number) => product * BigInt(size), BigInt(bitsPerElement[dtype]!));
  if (bits % 8n !== 0n || bits / 8n !== BigInt(end - begin)) {
    return fail(`${dtype} [${shape.join(', ')}] takes ${bits / 8n} bytes, but data_offsets span ${end - begin}`);
  }
  return { name, dtype, shape, path, offset: dataStart + begin, bytes: end - begin };
}

/** The tensors must tile the data exactly: no hole, no overlap, nothing past the end, nothing left over. */
function checkTiling(path: string, tensors: ReadonlyMap<string, TensorEntry>, dataStart: number, fileBytes: number): void {
  const inOrder = [...tensors.values()].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let at = dataStart;
  for (const { name, offset, bytes } of inOrder) {
    if (offset < at) throw badFile(path, `tensor ${name} overlaps the tensor before it`);
    if (offset > at) throw badFile(path, `tensor ${name}: ${offset - at} bytes before it belong to no tensor`);
    at = offset + bytes;
    if (at > fileBytes) {
      throw badFile(path, `tensor ${name} ends at byte ${at}, but the file has ${fileBytes}; is the download complete?`);
    }
  }
  if (at !== fileBytes) throw badFile(path, `${fileBytes - at} bytes at the end belong to no tensor`);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(path: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw badFile(path, 'the header is not UTF-8', cause);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badFile(path, 'the header is not JSON', cause);
  }
  if (!isObject(value)) throw badFile(path, 'the header is not a JSON object');
  const twice = duplicateKey(text);
  if (twice !== null) throw badFile(path, `the header names ${JSON.stringify(twice)} twice`);
  return value;
}

/** `bytes` bytes at `offset`, or all of the file where `bytes` is null. */
async function readRange(path: string, offset: number, bytes: number | null): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const file = await open(path);
    try {
      const wanted = bytes ?? (await file.stat()).size;
      const data = new Uint8Array(wanted);
      let got = 0;
      while (got < wanted) {
        const { bytesRead } = await file.read(data, got, wanted - got, offset + got);
        if (bytesRead === 0) throw badFile(path, 'ends too early');
        got += bytesRead;
      }
      return data;
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof LodestoneError) throw cause;
    throw badFile(path, `can't be read (${cause instanceof Error ? cause.message : String(cause)})`, cause);
  }
}
