/** Safetensors files made by hand. */
import { writeFileSync } from 'node:fs';

export interface TensorData {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export type Tensors = Readonly<Record<string, TensorData>>;

export function f32Tensor(shape: readonly number[], values: Float32Array): TensorData {
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** A whole file: length, header, data in the order given. */
export function safetensorsFile(tensors: Tensors): Uint8Array<ArrayBuffer> {
  let at = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
  }
  return withHeader(JSON.stringify(header), Buffer.concat(Object.values(tensors).map(({ bytes }) => bytes)));
}

/** A file with this header, whatever it says. */
export function withHeader(header: string | Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  file.set(json, 8);
  file.set(data, 8 + json.length);
  return file;
}

export function writeSafetensors(path: string, tensors: Tensors): void {
  writeFileSync(path, safetensorsFile(tensors));
}
