/** Weight matrices of the reference device: read whole, and unpacked into plain arrays. */
import { open } from 'node:fs/promises';
import { ExitCode, LodestoneError } from '../../errors.js';
import type { Weight, WeightFormat, WeightSource } from '../device.js';
import { isBlockFormat, isDenseFormat, quantizeBlocks, refuseConversion, storedBytes, unpackBlocks, type Blocks } from '../../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToF16 } from '../../weights/half.js';
import { q5ToQ8, unpackPacked, unpackValues } from '../../weights/packed.js';

export interface ReferenceWeight extends Weight {
  /** f32, f16 and bf16 as float32 [outputs, inputs]; blocks as integers, scales and mins. */
  readonly matrix: { readonly values: Float32Array } | { readonly blocks: Blocks };
}

export async function loadReferenceWeight(id: number, source: WeightSource, as: WeightFormat): Promise<ReferenceWeight> {
  const { label, format, outputs, inputs } = source;
  const refusal = refuseConversion(format, as, inputs);
  if (refusal !== null) throw new LodestoneError(ExitCode.badModel, `${label}: ${refusal}`);
  const matrix = await readMatrix(source, as).catch((cause: unknown) => {
    // V8's own RangeErrors, of an array that can't be had; Node's have a code.
    if (!(cause instanceof RangeError) || 'code' in cause) throw cause;
    throw new LodestoneError(ExitCode.outOfMemory, `not enough memory for the weight ${label}`, { cause });
  });
  const held =
    'values' in matrix ? matrix.values.byteLength : matrix.blocks.q.byteLength + matrix.blocks.d.byteLength + (matrix.blocks.min?.byteLength ?? 0);
  return { id, label, format: as, outputs, inputs, bytes: held, matrix };
}

async function readMatrix(source: WeightSource, as: WeightFormat): Promise<ReferenceWeight['matrix']> {
  const { label, format, outputs, inputs } = source;
  const bytes = await sourceBytes(source);
  const expected = storedBytes(format, outputs * inputs);
  if (bytes.length !== expected) {
    throw new LodestoneError(ExitCode.badModel, `${label}: ${bytes.length} bytes instead of ${expected}`);
  }
  if (isBlockFormat(format)) return { blocks: unpackBlocks(format, bytes) };
  if (format === as && !isDenseFormat(format)) return { blocks: unpackPacked(format, bytes) };
  if (format === 'q5_0' && as === 'q8_0') return { blocks: unpackBlocks(as, q5ToQ8(bytes)) };
  const values = isDenseFormat(format) ? widen(format, bytes) : unpackValues(format, bytes);
  if (isBlockFormat(as)) return { blocks: unpackBlocks(as, quantizeBlocks(as, values)) };
  return { values: as === 'f16' && format !== 'f16' ? values.map((value) => f16ToF32(f32ToF16(value))) : values };
}

function widen(format: 'f32' | 'f16' | 'bf16', bytes: Uint8Array): Float32Array {
  const { buffer, byteOffset, length } = bytes;
  if (format === 'f32') return new Float32Array(buffer.slice(byteOffset, byteOffset + length));
  const halves = new Uint16Array(buffer.slice(byteOffset, byteOffset + length));
  const toF32 = format === 'f16' ? f16ToF32 : bf16ToF32;
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = toF32(halves[i]!);
  return values;
}

async function sourceBytes({ data, label }: WeightSource): Promise<Uint8Array> {
  if ('memory' in data) return data.memory;
  const file = await open(data.path).catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.badModel, `${data.path}: can't be opened to read ${label}`, { cause });
  });
  try {
    const bytes = new Uint8Array(data.bytes);
    for (let got = 0; got < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, got, Math.min(bytes.length - got, 1 << 30), data.offset + got);
      if (bytesRead === 0) throw new LodestoneError(ExitCode.badModel, `${data.path}: ends inside ${label}`);
      got += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

export function asReferenceWeight(weight: Weight): ReferenceWeight {
  if (!('matrix' in weight)) throw new TypeError(`${weight.label} is not a weight of this device`);
  return weight as ReferenceWeight;
}
