/** safetensors files that fit in memory: policies and what training keeps. (Models are written piece by piece, in models/convert.ts.) */
import { f32ToF16 } from './half.js';

export interface TensorData {
  readonly name: string;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
  readonly dtype: 'F32' | 'F16';
}

/** The file's bytes: header, padded with spaces so that the data starts at a multiple of 8, and the tensors in order. */
export function encodeSafetensors(tensors: readonly TensorData[], metadata: Readonly<Record<string, string>>): Buffer {
  const entries: Record<string, unknown> = { __metadata__: metadata };
  const parts: Buffer[] = [];
  let at = 0;
  for (const { name, shape, data, dtype } of tensors) {
    const values = dtype === 'F32' ? data : Uint16Array.from(data, f32ToF16);
    const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
    entries[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ');
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  return Buffer.concat([header, ...parts]);
}
