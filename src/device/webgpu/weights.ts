/**
 * Weight matrices on the GPU, as kernels/wgsl/weights.wgsl reads them: rows of whole units of 32 elements; of q8_0 and q4_0
 * the integers of all rows, then the scales of all units. A matrix larger than a binding may be is cut into shards of rows.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { ExitCode, LodestoneError } from '../../errors.js';
import type { Weight, WeightFormat, WeightSource } from '../device.js';
import { blockSize, isBlockFormat, isDenseFormat, layouts, quantizeBlocks, refuseConversion, storedBytes } from '../../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../weights/half.js';
import { q5ToQ8, unpackValues } from '../../weights/packed.js';
import type { GpuMemory } from './dispatch.js';

/** Rows `first` to `first + rows - 1` of a matrix. */
export interface Shard {
  readonly memory: GpuMemory;
  readonly first: number;
  readonly rows: number;
  /** Where the scales begin, in units of 16 bytes. */
  readonly scales: number;
}

export interface GpuWeight extends Weight {
  /** Units in a row. */
  readonly units: number;
  readonly shards: readonly Shard[];
}

/** What a matrix becomes where nothing else is asked for: what the kernels read, as exact as it was or in 16 bits an element. */
export function gpuFormat(format: WeightFormat): WeightFormat {
  if (isDenseFormat(format) || isBlockFormat(format)) return format;
  return format === 'q5_0' ? 'q8_0' : 'f16';
}

/** Elements in a unit. */
export const unit = blockSize;

/** Bytes of a unit without its scale. */
function unitBytes(format: WeightFormat): number {
  return isBlockFormat(format) ? layouts[format].bytes - 2 : unit * layouts[format].bytes;
}

/** Bytes of a shard of so many rows: whole words of 16 bytes of elements, then of scales. */
function shardBytes(format: WeightFormat, rows: number, units: number): { readonly elements: number; readonly total: number } {
  const elements = rows * units * unitBytes(format);
  const scales = isBlockFormat(format) ? Math.ceil((rows * units * 2) / 16) * 16 : 0;
  return { elements, total: elements + scales };
}

/** What loading needs of the device. */
export interface Uploader {
  /** The largest buffer that a kernel can be bound to. */
  readonly largestBinding: number;
  allocate(bytes: number, label: string): GpuMemory;
  release(memory: GpuMemory): void;
  upload(memory: GpuMemory, offset: number, data: Uint8Array<ArrayBuffer>): void;
  /** After what was uploaded so far has arrived. Rejects where the device failed. */
  arrived(): Promise<void>;
}

/** Rows that are read, converted and uploaded at a time hold about so many bytes. */
const pieceBytes = 8 * 2 ** 20;

/** Errors: LodestoneError(badModel), or (outOfMemory) naming the label. */
export async function loadGpuWeight(id: number, source: WeightSource, as: WeightFormat, to: Uploader): Promise<GpuWeight> {
  const { label, format, outputs, inputs, data } = source;
  const bad = (why: string): LodestoneError => new LodestoneError(ExitCode.badModel, `${label}: ${why}`);
  if (!Number.isSafeInteger(outputs) || !Number.isSafeInteger(inputs) || outputs <= 0 || inputs <= 0) throw bad(`a matrix of ${outputs} x ${inputs}`);
  const refusal = refuseConversion(format, as, inputs);
  if (refusal !== null) throw bad(refusal);
  const wanted = storedBytes(format, outputs * inputs);
  const given = 'path' in data ? data.bytes : data.memory.byteLength;
  if (given !== wanted) throw bad(`${outputs} x ${inputs} in ${format} takes ${wanted} bytes, not ${given}`);

  const units = Math.ceil(inputs / unit);
  const rowBytes = unitBytes(as) * units + (isBlockFormat(as) ? 2 * units : 0);
  // A multiple of 8 rows, so that the scales of q8_0 and q4_0 end with whole words; one word to spare.
  const perShard = Math.max(8, Math.floor((to.largestBinding - 16) / rowBytes / 8) * 8);
  const sourceRow = storedBytes(format, inputs);
  const perPiece = Math.max(8, Math.floor(pieceBytes / Math.max(rowBytes, sourceRow) / 8) * 8);
  const shards: Shard[] = [];
  const rows = await openRows(source);
  try {
    for (let first = 0; first < outputs; first += perShard) {
      const count = Math.min(perShard, outputs - first);
      const { elements, total } = shardBytes(as, count, units);
      const memory = to.allocate(total, shards.length === 0 ? label : `${label}, rows from ${first}`);
      shards.push({ memory, first, rows: count, scales: elements / 16 });
      for (let row = 0; row < count; row += perPiece) {
        const piece = Math.min(perPiece, count - row);
        const bytes = await rows.read((first + row) * sourceRow, piece * sourceRow);
        const packed = pack(convert(bytes, format, as), as, piece, inputs, units);
        to.upload(memory, row * units * unitBytes(as), packed.elements);
        if (packed.scales) to.upload(memory, elements + row * units * 2, packed.scales);
        await to.arrived();
      }
    }
  } catch (error) {
    for (const { memory } of shards) to.release(memory);
    throw error;
  } finally {
    await rows.close();
  }
  const bytes = shards.reduce((sum, shard) => sum + shardBytes(as, shard.rows, units).total, 0);
  return { id, label, format: as, outputs, inputs, bytes, units, shards };
}

/** Stored rows in one format, in another. */
function convert(bytes: Uint8Array<ArrayBuffer>, from: WeightSource['format'], as: WeightFormat): Uint8Array<ArrayBuffer> {
  if (from === as) return bytes;
  if (from === 'q5_0' && as === 'q8_0') return q5ToQ8(bytes) as Uint8Array<ArrayBuffer>;
  const values = isDenseFormat(from) ? widen(from, bytes) : unpackValues(from as Parameters<typeof unpackValues>[0], bytes);
  if (isBlockFormat(as)) return quantizeBlocks(as, values) as Uint8Array<ArrayBuffer>;
  if (as === 'f32') return new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
  return new Uint8Array(Uint16Array.from(values, f32ToF16).buffer);
}

function widen(format: 'f32' | 'f16' | 'bf16', bytes: Uint8Array<ArrayBuffer>): Float32Array {
  if (format === 'f32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
  return Float32Array.from(halves, format === 'f16' ? f16ToF32 : bf16ToF32);
}

/** Rows as a file has them, as the kernels read them; of an even number of units in all, or the last rows of a shard. */
function pack(bytes: Uint8Array<ArrayBuffer>, format: WeightFormat, rows: number, inputs: number, units: number): { readonly elements: Uint8Array<ArrayBuffer>; readonly scales?: Uint8Array<ArrayBuffer> } {
  const perUnit = unitBytes(format);
  if (!isBlockFormat(format)) {
    if (inputs === units * unit) return { elements: bytes };
    const rowBytes = storedBytes(format, inputs);
    const elements = new Uint8Array(rows * units * perUnit);
    for (let r = 0; r < rows; r++) elements.set(bytes.subarray(r * rowBytes, (r + 1) * rowBytes), r * units * perUnit);
    return { elements };
  }
  const count = rows * units;
  const elements = new Uint8Array(count * perUnit);
  const scales = new Uint8Array(Math.ceil(count / 2) * 4);
  for (let u = 0, from = 0; u < count; u++, from += perUnit + 2) {
    scales[2 * u] = bytes[from]!;
    scales[2 * u + 1] = bytes[from + 1]!;
    elements.set(bytes.subarray(from + 2, from + 2 + perUnit), u * perUnit);
  }
  return { elements, scales };
}

interface Rows {
  read(offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

async function openRows({ data, label }: WeightSource): Promise<Rows> {
  if ('memory' in data) {
    const { memory } = data;
    return { read: async (offset, bytes) => memory.slice(offset, offset + bytes), close: async () => undefined };
  }
  const { path, offset } = data;
  const file = await open(path).catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.badModel, `${path}: can't be opened to read ${label}`, { cause });
  });
  return { read: (from, bytes) => readFully(file, path, label, offset + from, bytes), close: () => file.close() };
}

async function readFully(file: FileHandle, path: string, label: string, offset: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const out = new Uint8Array(bytes);
  for (let got = 0; got < bytes; ) {
    const { bytesRead } = await file.read(out, got, bytes - got, offset + got);
    if (bytesRead === 0) throw new LodestoneError(ExitCode.badModel, `${path}: ends inside ${label}`);
    got += bytesRead;
  }
  return out;
}
