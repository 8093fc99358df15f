/** GGUF files made by hand, and made over. */
import { readFileSync } from 'node:fs';
import { ggufHeader, padded, type MetadataEntry } from '../../src/weights/gguf-header.js';
import { dequantizeBlocks, isBlockFormat } from '../../src/weights/blocks.js';
import { openGguf, type Gguf, type GgufValue } from '../../src/weights/gguf.js';
import { bf16ToF32 } from '../../src/weights/half.js';

export interface GgufTensorData {
  /** Fastest first. */
  readonly sizes: readonly number[];
  /** ggml's number. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

export const ggmlTypes = { F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14, BF16: 30 } as const;

export function ggufFile(metadata: Readonly<Record<string, MetadataEntry>>, tensors: Readonly<Record<string, GgufTensorData>>): Buffer {
  const list = Object.entries(tensors).map(([name, { sizes, type, bytes }]) => ({ name, sizes, type, bytes: bytes.length }));
  const data = Object.values(tensors).flatMap(({ bytes }) => [bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
  return Buffer.concat([ggufHeader(metadata, list), ...data]);
}

/** Metadata as it was read, to be written again. */
export function entriesOf(metadata: ReadonlyMap<string, GgufValue>): Record<string, MetadataEntry> {
  return Object.fromEntries([...metadata].map(([key, value]) => [key, entryOf(value)]));
}

function entryOf(value: GgufValue): MetadataEntry {
  if (typeof value === 'number') return Number.isInteger(value) && value < 1e5 ? { u32: value } : { f32: value };
  if (typeof value === 'boolean') return { bool: value };
  if (typeof value === 'string') return { text: value };
  if (value instanceof Float32Array) return { f32s: value };
  if (value instanceof Int32Array) return { i32s: value };
  return { texts: value as string[] };
}

/** The tensors of a file, as they are, or all of them as F32. */
export function tensorsOf({ path, tensors }: Gguf, widen = false): Record<string, GgufTensorData> {
  const file = new Uint8Array(readFileSync(path));
  return Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, offset, bytes }]) => {
      const data = file.slice(offset, offset + bytes);
      const sizes = shape.toReversed();
      if (!widen) return [name, { sizes, type: ggmlTypes[dtype as keyof typeof ggmlTypes], bytes: data }];
      return [name, { sizes, type: ggmlTypes.F32, bytes: new Uint8Array(widenValues(dtype, data).buffer) }];
    }),
  );
}

function widenValues(dtype: string, data: Uint8Array): Float32Array {
  if (dtype === 'F32') return new Float32Array(data.buffer);
  if (dtype === 'BF16') return Float32Array.from(new Uint16Array(data.buffer), bf16ToF32);
  const format = dtype === 'Q8_0' ? 'q8_0' : 'q4_0';
  if (!isBlockFormat(format)) throw new Error(dtype);
  return dequantizeBlocks(format, data);
}

export async function readGgufFile(path: string): Promise<{ gguf: Gguf; metadata: Record<string, MetadataEntry> }> {
  const gguf = await openGguf(path);
  return { gguf, metadata: entriesOf(gguf.metadata) };
}
