/**
 * Weight matrices on the GPU: read, converted where that is asked for, laid out as the kernels read them, and uploaded, some rows
 * at a time. A matrix larger than a binding may be is cut into shards of rows.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { ExitCode, LodestoneError } from '../../errors.js';
import type { Weight, WeightFormat, WeightSource } from '../device.js';
import { isBlockFormat, isDenseFormat, quantizeBlocks, refuseConversion, storedBytes } from '../../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../weights/half.js';
import { q5ToQ8, unpackValues } from '../../weights/packed.js';
import type { GpuMemory } from './dispatch.js';
import { planeBytes, planePlaces, planes, splitRows, unit, type Plane } from './weight-layout.js';

/** Rows `first` to `first + rows - 1` of a matrix. */
export interface Shard {
  readonly memory: GpuMemory;
  readonly first: number;
  readonly rows: number;
  /** Where its planes begin, in units of 16 bytes. */
  readonly planes: Readonly<Record<Plane, number>>;
  readonly bytes: number;
}

export interface GpuWeight extends Weight {
  /** Units in a row. */
  readonly units: number;
  readonly shards: readonly Shard[];
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
  const rowBytes = planePlaces(as, units).bytes;
  // Multiples of 8 rows, so that all planes end with whole words; 16 bytes of each to spare.
  const perShard = Math.max(8, Math.floor((to.largestBinding - 16 * planes.length) / rowBytes / 8) * 8);
  const sourceRow = storedBytes(format, inputs);
  const perPiece = Math.max(8, Math.floor(pieceBytes / Math.max(rowBytes, sourceRow) / 8) * 8);
  const shards: Shard[] = [];
  const rows = await openRows(source);
  try {
    for (let first = 0; first < outputs; first += perShard) {
      const count = Math.min(perShard, outputs - first);
      const { at, bytes } = planePlaces(as, count * units);
      const memory = to.allocate(bytes, shards.length === 0 ? label : `${label}, rows from ${first}`);
      shards.push({ memory, first, rows: count, planes: at, bytes });
      for (let row = 0; row < count; row += perPiece) {
        const piece = Math.min(perPiece, count - row);
        const read = await rows.read((first + row) * sourceRow, piece * sourceRow);
        const split = splitRows(as, convert(read, format, as), piece, inputs);
        for (const plane of planes) {
          if (split[plane].length > 0) to.upload(memory, at[plane] * 16 + planeBytes(as, plane, row * units), split[plane]);
        }
        await to.arrived();
      }
    }
  } catch (error) {
    for (const { memory } of shards) to.release(memory);
    throw error;
  } finally {
    await rows.close();
  }
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
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
