/** The header of a GGUF file, written: version 3, little-endian. What a file holds is explained in gguf.ts. */
import type { WeightFormat } from '../device/device.js';

export const ggufAlignment = 32;

/** ggml's numbers of tensor types. */
export const ggmlTypes: Readonly<Record<WeightFormat, number>> = { f32: 0, f16: 1, q4_0: 2, q4_1: 3, q5_0: 6, q5_1: 7, q8_0: 8, q4_k: 12, q5_k: 13, q6_k: 14, bf16: 30 };
/** `general.file_type` of a file whose matrices are in a format. */
export const fileTypes: Readonly<Record<WeightFormat, number>> = { f32: 0, f16: 1, q4_0: 2, q4_1: 3, q8_0: 7, q5_0: 8, q5_1: 9, q4_k: 15, q5_k: 17, q6_k: 18, bf16: 32 };

/** The metadata types in use. */
export type MetadataEntry =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly f32s: Float32Array }
  | { readonly i32s: Int32Array }
  | { readonly bools: readonly boolean[] };

export interface GgufTensor {
  readonly name: string;
  /** Fastest first. */
  readonly sizes: readonly number[];
  /** ggml's number. */
  readonly type: number;
  readonly bytes: number;
}

export function padded(bytes: number): number {
  return Math.ceil(bytes / ggufAlignment) * ggufAlignment;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const f32 = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer);
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};
const flag = (value: boolean): Buffer => Buffer.of(value ? 1 : 0);
const array = (type: number, count: number, elements: readonly Uint8Array[]): Buffer => Buffer.concat([u32(9), u32(type), u64(count), ...elements]);
const raw = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

/** Type and value. */
function encodeEntry(entry: MetadataEntry): Buffer {
  if ('u32' in entry) return Buffer.concat([u32(4), u32(entry.u32)]);
  if ('f32' in entry) return Buffer.concat([u32(6), f32(entry.f32)]);
  if ('bool' in entry) return Buffer.concat([u32(7), flag(entry.bool)]);
  if ('text' in entry) return Buffer.concat([u32(8), text(entry.text)]);
  if ('texts' in entry) return array(8, entry.texts.length, entry.texts.map(text));
  if ('f32s' in entry) return array(6, entry.f32s.length, [raw(entry.f32s)]);
  if ('i32s' in entry) return array(5, entry.i32s.length, [raw(entry.i32s)]);
  return array(7, entry.bools.length, entry.bools.map(flag));
}

/** The header, padded: the first tensor's data comes right after it, and each tensor's data is padded too. */
export function ggufHeader(metadata: Readonly<Record<string, MetadataEntry>>, tensors: readonly GgufTensor[]): Buffer {
  const entries = Object.entries(metadata);
  const parts: Uint8Array[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.length)];
  for (const [key, entry] of entries) parts.push(text(key), encodeEntry(entry));
  let offset = 0;
  for (const { name, sizes, type, bytes } of tensors) {
    parts.push(text(name), u32(sizes.length), ...sizes.map(u64), u32(type), u64(offset));
    offset += padded(bytes);
  }
  const header = Buffer.concat(parts);
  return Buffer.concat([header, Buffer.alloc(padded(header.length) - header.length)]);
}
