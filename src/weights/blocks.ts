/**
 * The formats of weights: one table of their layouts, and the two in blocks that weights can be quantised to, q8_0 and
 * q4_0; the other blocks are in packed.ts. A block holds 32 neighbours of a matrix row under one scale d, stored as f16.
 *
 * q8_0, 34 bytes: d, then 32 signed bytes q.                            value = q d
 * q4_0, 18 bytes: d, then 16 bytes; byte j holds element j in its low
 *   nibble and element j + 16 in its high nibble.                       value = (q - 8) d
 *
 * Source: ggml's `block_q8_0`, `block_q4_0` and their quantisers.
 */
import type { WeightFormat } from '../device/device.js';
import { f16ToF32, f32ToF16, roundHalfAway, roundHalfEven } from './half.js';

export const blockSize = 32;

export type BlockFormat = 'q8_0' | 'q4_0';

/** Formats in blocks that only files come in; see `packed.ts`. */
export type PackedFormat = Exclude<WeightFormat, BlockFormat | 'f32' | 'f16' | 'bf16'>;

/** Neighbours of a matrix row that are stored together, and the bytes that they take. */
export const layouts: Readonly<Record<WeightFormat, { readonly elements: number; readonly bytes: number }>> = {
  f32: { elements: 1, bytes: 4 },
  f16: { elements: 1, bytes: 2 },
  bf16: { elements: 1, bytes: 2 },
  q8_0: { elements: blockSize, bytes: 34 },
  q4_0: { elements: blockSize, bytes: 18 },
  q4_1: { elements: blockSize, bytes: 20 },
  q5_0: { elements: blockSize, bytes: 22 },
  q5_1: { elements: blockSize, bytes: 24 },
  q4_k: { elements: 256, bytes: 144 },
  q5_k: { elements: 256, bytes: 176 },
  q6_k: { elements: 256, bytes: 210 },
};

/** Bytes of a matrix as stored in `format`; its rows are whole blocks. */
export function storedBytes(format: WeightFormat, elements: number): number {
  const layout = layouts[format];
  return (elements / layout.elements) * layout.bytes;
}

export function isBlockFormat(format: WeightFormat): format is BlockFormat {
  return format === 'q8_0' || format === 'q4_0';
}

/** Formats of single numbers. */
export function isDenseFormat(format: WeightFormat): format is 'f32' | 'f16' | 'bf16' {
  return layouts[format].elements === 1;
}

/**
 * Why a matrix of `inputs` inputs can't be brought from one format into another, or null where it can: dense numbers may
 * be widened to f32 or quantised, packed ones be unpacked to f32 or f16 or quantised again; q8_0 and q4_0 stay as they are.
 */
export function refuseConversion(from: WeightFormat, to: WeightFormat, inputs: number): string | null {
  for (const format of [from, to]) {
    const { elements } = layouts[format];
    if (inputs % elements !== 0) return `${format} needs rows of a multiple of ${elements} elements, but they have ${inputs}`;
  }
  if (from === to) return null;
  const legal = isBlockFormat(from) ? false : to === 'f32' || isBlockFormat(to) || (to === 'f16' && !isDenseFormat(from));
  return legal ? null : `${from} can't be loaded as ${to}`;
}

/** Blocks unpacked: value of element e is q[e] * d[floor(e / per)] - min[floor(e / 32)]. */
export interface Blocks {
  /** The zero point taken off. */
  readonly q: Int8Array;
  /** Float32 values of the scales. */
  readonly d: Float32Array;
  /** Elements that share a scale. */
  readonly per: 16 | 32;
  readonly min: Float32Array | null;
}

export function unpackBlocks(format: BlockFormat, bytes: Uint8Array): Blocks {
  const count = bytes.length / layouts[format].bytes;
  const q = new Int8Array(count * blockSize);
  const d = new Float32Array(count);
  for (let block = 0; block < count; block++) {
    const at = block * layouts[format].bytes;
    const to = block * blockSize;
    d[block] = f16ToF32(bytes[at]! | (bytes[at + 1]! << 8));
    if (format === 'q8_0') {
      for (let j = 0; j < 32; j++) q[to + j] = bytes[at + 2 + j]!;
    } else {
      for (let j = 0; j < 16; j++) {
        const pair = bytes[at + 2 + j]!;
        q[to + j] = (pair & 15) - 8;
        q[to + j + 16] = (pair >> 4) - 8;
      }
    }
  }
  return { q, d, per: 32, min: null };
}

/** Element e in float32, rounded after each step as gguf-py does. */
export function valueAt({ q, d, per, min }: Blocks, e: number): number {
  const scaled = Math.fround(q[e]! * d[Math.floor(e / per)]!);
  return min ? Math.fround(scaled - min[e >> 5]!) : scaled;
}

export function blockValues(blocks: Blocks): Float32Array {
  const out = new Float32Array(blocks.q.length);
  for (let e = 0; e < out.length; e++) out[e] = valueAt(blocks, e);
  return out;
}

export function dequantizeBlocks(format: BlockFormat, bytes: Uint8Array): Float32Array {
  return blockValues(unpackBlocks(format, bytes));
}

/** As GGUF rounds: everything in float32, with the scale's reciprocal before the scale itself is rounded to f16. */
export function quantizeBlocks(format: BlockFormat, x: Float32Array): Uint8Array {
  const count = x.length / blockSize;
  const out = new Uint8Array(storedBytes(format, x.length));
  for (let block = 0; block < count; block++) {
    const values = x.subarray(block * blockSize, (block + 1) * blockSize);
    const at = block * layouts[format].bytes;
    const d = format === 'q8_0' ? Math.fround(Math.abs(largest(values)) / 127) : Math.fround(largest(values) / -8);
    const inverse = d === 0 ? 0 : Math.fround(1 / d);
    const half = f32ToF16(d);
    out[at] = half & 0xff;
    out[at + 1] = half >> 8;
    if (format === 'q8_0') {
      for (let j = 0; j < 32; j++) out[at + 2 + j] = roundHalfAway(Math.fround(values[j]! * inverse));
    } else {
      const nibble = (v: number): number => Math.max(0, Math.min(15, Math.trunc(Math.fround(Math.fround(v * inverse) + 8.5))));
      for (let j = 0; j < 16; j++) out[at + 2 + j] = nibble(values[j]!) | (nibble(values[j + 16]!) << 4);
    }
  }
  return out;
}

/** The element of largest magnitude, with its sign; the first of several. NaN where there is one. */
function largest(values: Float32Array): number {
  let best = 0;
  for (const v of values) if (Math.abs(v) > Math.abs(best) || Number.isNaN(v)) best = v;
  return best;
}

/**
 * An activation row, quantised for a product with weights in blocks: d = max|x| / 127, q = round(x / d) to nearest
 * even, both in float32; d stays float32. Where d would be subnormal, d and q are 0; where the block holds NaN or an
 * infinity, so does d. See `MatMulCommand`.
 */
export function quantizeActivations(x: Float32Array): Pick<Blocks, 'q' | 'd'> {
  const q = new Int8Array(x.length);
  const d = new Float32Array(x.length / blockSize);
  for (let block = 0; block < d.length; block++) {
    const values = x.subarray(block * blockSize, (block + 1) * blockSize);
    const scale = Math.fround(Math.abs(largest(values)) / 127);
    if (scale < 2 ** -126) continue;
    d[block] = scale;
    for (let j = 0; j < 32; j++) q[block * blockSize + j] = roundHalfEven(Math.fround(values[j]! / scale));
  }
  return { q, d };
}
