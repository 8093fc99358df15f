/** Safetensors files made by hand. */
import { readFileSync, writeFileSync } from 'node:fs';
import { quantizeBlocks, type BlockFormat } from '../../src/weights/blocks.js';
import { bf16ToF32 } from '../../src/weights/half.js';

export interface TensorData {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
  /** Of blocks: what the metadata says of it. */
  readonly blockFormat?: string;
}

export type Tensors = Readonly<Record<string, TensorData>>;

export function f32Tensor(shape: readonly number[], values: Float32Array): TensorData {
  return { dtype: 'F32', shape, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** A whole file: length, header, data in the order given. */
export function safetensorsFile(tensors: Tensors): Uint8Array<ArrayBuffer> {
  let at = 0;
  const metadata: Record<string, string> = { format: 'pt' };
  const header: Record<string, unknown> = { __metadata__: metadata };
  for (const [name, { dtype, shape, bytes, blockFormat }] of Object.entries(tensors)) {
    if (blockFormat !== undefined) metadata[`block_format.${name}`] = blockFormat;
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

/** The tensors of a file whose header is good. */
export function readSafetensors(path: string): Tensors {
  const file = new Uint8Array(readFileSync(path));
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  delete header['__metadata__'];
  return Object.fromEntries(
    Object.entries(header).map(([name, { dtype, shape, data_offsets: [begin, end] }]) => [name, { dtype, shape, bytes: file.slice(8 + length + begin, 8 + length + end) }]),
  );
}

/** A bf16 matrix as blocks. */
export function quantizedTensor({ shape, bytes }: TensorData, format: BlockFormat): TensorData {
  const values = Float32Array.from(new Uint16Array(bytes.slice().buffer), bf16ToF32);
  const blocks = quantizeBlocks(format, values);
  return { dtype: 'U8', shape: [shape[0]!, blocks.length / shape[0]!], bytes: blocks, blockFormat: format };
}
