/**
 * The tensors of a converted model: which there will be, in what format, and their bytes, made from the source's a few rows
 * at a time.
 *
 * A GGUF file's gains have had their 1 added (in float32), those of safetensors have not: it is added or taken off again,
 * exactly so for gains that are 1 + w in float32.
 */
import { open, type FileHandle } from 'node:fs/promises';
import type { WeightFormat } from '../device/device.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import type { MatrixPlace } from '../gemma/weight-loader.js';
import { ggufNaming, safetensorsNaming, type LayerPlaces, type VectorPlace } from '../gemma/weights.js';
import { isGguf, type ModelHeaders } from '../runtime/model.js';
import { dequantizeBlocks, isBlockFormat, layouts, quantizeBlocks, storedBytes } from '../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../weights/half.js';
import { q5ToQ8, unpackValues } from '../weights/packed.js';
import type { TensorEntry } from '../weights/safetensors.js';

export const conversionTargets = ['q8_0', 'q4_0', 'bf16', 'f16'] as const;
export type ConversionTarget = (typeof conversionTargets)[number];

export interface ConvertOptions {
  readonly signal: AbortSignal;
  /** Bytes of the new weights. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Numbers that are held at a time. */
const chunkElements = 2 ** 20;

/** A tensor of the new model. */
export interface NewTensor {
  readonly name: string;
  readonly entry: TensorEntry;
  /** Numbers of a row of a matrix; null: copied, or shifted. */
  readonly matrix: { readonly from: WeightFormat; readonly to: WeightFormat; readonly inputs: number; readonly outputs: number } | null;
  /** Added to each number of a vector that becomes F32; null: copied as it is. */
  readonly add: number | null;
  /** In safetensors' and ggml's spelling. */
  readonly dtype: string;
  /** [outputs, inputs] */
  readonly shape: readonly number[];
  readonly bytes: number;
}

/**
 * Of a directory of ours: the text model's, and of safetensors also what else there is, as it is. Of a GGUF file: the text
 * model's, by llama.cpp's names, gains in F32, and of the embedding the rows that text has.
 * Errors: LodestoneError(badModel) for a matrix that does not fit the format.
 */
export function planTensors({ checkpoint, places }: ModelHeaders, to: ConversionTarget, container: 'directory' | 'gguf'): NewTensor[] {
  const [fromGguf, toGguf] = [isGguf(checkpoint), container === 'gguf'];
  const naming = toGguf ? ggufNaming : safetensorsNaming('model.');
  const nameOf = (entry: TensorEntry, name: string): string => (fromGguf || toGguf ? name : entry.name);
  const planned: NewTensor[] = [];
  const matrix = (place: MatrixPlace, name: string): void => {
    planned.push(planMatrix(place, nameOf(place.entry, name), to, toGguf ? place.outputs : place.entry.shape[0]!));
  };
  const vector = ({ entry }: VectorPlace, name: string, isGain: boolean): void => {
    const shift = isGain ? Number(toGguf) - Number(fromGguf) : 0;
    const add = shift !== 0 || (toGguf && entry.dtype !== 'F32') ? shift : null;
    const [dtype, bytes] = add === null ? [entry.dtype, entry.bytes] : ['F32', entry.shape[0]! * 4];
    planned.push({ name: nameOf(entry, name), entry, matrix: null, add, dtype, shape: entry.shape, bytes });
  };
  matrix(places.embedding, naming.embedding);
  if (places.head) matrix(places.head, naming.heads[0]!);
  places.layers.forEach((layer, i) => {
    for (const part of Object.keys(layer) as (keyof LayerPlaces)[]) {
      const place = layer[part];
      if (place === null) continue;
      const name = naming.layer(i) + naming.parts[part];
      if ('add' in place) vector(place, name, part !== 'logScale');
      else matrix(place, name);
    }
  });
  vector(places.finalNorm, naming.finalNorm, true);
  if (fromGguf || toGguf) return planned;
  const used = new Set(planned.map(({ entry }) => entry.name));
  const others = [...checkpoint.tensors.values()].filter(({ name }) => !used.has(name));
  return [...planned, ...others.map((entry) => ({ name: entry.name, entry, matrix: null, add: null, dtype: entry.dtype, shape: entry.shape, bytes: entry.bytes }))];
}

function planMatrix({ entry, format, inputs }: MatrixPlace, name: string, to: ConversionTarget, outputs: number): NewTensor {
  const target = targetFormat(format, to);
  if (inputs % layouts[target].elements !== 0) {
    throw new LodestoneError(ExitCode.badModel, `${entry.path}: tensor ${entry.name} has rows of ${inputs} elements, and ${target} needs a multiple of ${layouts[target].elements}`);
  }
  const bytes = storedBytes(target, outputs * inputs);
  return { name, entry, matrix: { from: format, to: target, inputs, outputs }, add: null, dtype: target.toUpperCase(), shape: [outputs, inputs], bytes };
}

/** q4_0 as q8_0 would hold nothing more: it stays. */
export function targetFormat(from: WeightFormat, to: ConversionTarget): WeightFormat {
  return from === 'q4_0' && to === 'q8_0' ? 'q4_0' : to;
}

export function totalBytes(tensors: readonly { readonly bytes: number }[]): number {
  return tensors.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Writes a header and the tensors after it to a new file, each padded to a multiple of `alignment` bytes. Errors: those of the file system; the signal's reason. */
export async function writeTensors(path: string, header: Uint8Array, tensors: readonly NewTensor[], alignment: number, { signal, onProgress }: ConvertOptions): Promise<void> {
  const total = totalBytes(tensors);
  const out = await open(path, 'wx');
  const inputs = new Map<string, FileHandle>();
  let at = 0;
  let done = 0;
  const write = async (piece: Uint8Array): Promise<void> => {
    for (let written = 0; written < piece.length; ) written += (await out.write(piece, written, piece.length - written, at + written)).bytesWritten;
    at += piece.length;
  };
  try {
    await write(header);
    for (const tensor of tensors) {
      const { path: from } = tensor.entry;
      const file = inputs.get(from) ?? (await open(from));
      inputs.set(from, file);
      for await (const piece of encoded(tensor, file)) {
        if (signal.aborted) throw abortError(signal);
        await write(piece);
        done += piece.length;
        onProgress?.(done, total);
      }
      await write(new Uint8Array((alignment - (at % alignment)) % alignment));
    }
    await out.sync();
  } finally {
    await out.close();
    for (const file of inputs.values()) await file.close();
  }
}

/** The bytes of a tensor as they will be stored, a few rows at a time. */
async function* encoded({ entry, matrix, add, bytes: stored }: NewTensor, file: FileHandle): AsyncGenerator<Uint8Array> {
  if (matrix !== null && matrix.from !== matrix.to) {
    const { from, to, inputs, outputs } = matrix;
    const rows = Math.max(1, Math.floor(chunkElements / inputs));
    const rowBytes = storedBytes(from, inputs);
    for (let row = 0; row < outputs; row += rows) {
      const count = Math.min(rows, outputs - row);
      const bytes = await read(file, entry, row * rowBytes, count * rowBytes);
      // The same scales and integers, as when it is loaded so.
      yield from === 'q5_0' && to === 'q8_0' ? q5ToQ8(bytes) : encode(decode(from, bytes), to, entry);
    }
    return;
  }
  if (add !== null) {
    const values = decode(entry.dtype.toLowerCase() as WeightFormat, await read(file, entry, 0, entry.bytes));
    yield encode(values.map((value) => Math.fround(value + add)), 'f32', entry);
    return;
  }
  const most = chunkElements * 4;
  for (let from = 0; from < stored; from += most) yield read(file, entry, from, Math.min(most, stored - from));
}

async function read(file: FileHandle, { path, name, offset }: TensorEntry, from: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(bytes);
  for (let got = 0; got < bytes; ) {
    const { bytesRead } = await file.read(data, got, bytes - got, offset + from + got);
    if (bytesRead === 0) throw new LodestoneError(ExitCode.badModel, `${path}: ends inside tensor ${name}`);
    got += bytesRead;
  }
  return data;
}

function decode(format: WeightFormat, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  if (format === 'f32') return new Float32Array(bytes.buffer);
  if (format === 'f16' || format === 'bf16') {
    const halves = new Uint16Array(bytes.buffer);
    const widen = format === 'f16' ? f16ToF32 : bf16ToF32;
    const values = new Float32Array(halves.length);
    // Twenty times as fast as Float32Array.from.
    for (let i = 0; i < halves.length; i++) values[i] = widen(halves[i]!);
    return values;
  }
  return isBlockFormat(format) ? dequantizeBlocks(format, bytes) : unpackValues(format, bytes);
}

function encode(values: Float32Array, format: WeightFormat, { path, name }: TensorEntry): Uint8Array {
  if (isBlockFormat(format)) return quantizeBlocks(format, values);
  if (format === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const halves = new Uint16Array(values.length);
  const narrow = format === 'f16' ? f32ToF16 : f32ToBf16;
  for (let i = 0; i < values.length; i++) {
    halves[i] = narrow(values[i]!);
    if (format === 'f16' && (halves[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw new LodestoneError(ExitCode.badModel, `${path}: tensor ${name} holds ${values[i]}, more than f16 can; bf16 holds it`);
    }
  }
  return new Uint8Array(halves.buffer);
}
