/**
 * How matrices lie on the GPU, as kernels/wgsl/weights.wgsl and blocks.wgsl read them: rows of whole units of 32 elements. Formats
 * in blocks are taken apart into planes, each of all the rows, so that neighbouring threads read neighbouring words: the low
 * bits (or all) of the integers, their high bits, and scales. No number is changed.
 */
import type { WeightFormat } from '../device.js';
import { blockSize, isDenseFormat, layouts, storedBytes } from '../../weights/blocks.js';

/** Elements in a unit. */
export const unit = blockSize;

/** In the order of FORMAT in kernels/wgsl/weights.wgsl. */
const formats: readonly WeightFormat[] = ['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k'];

export function formatNumber(format: WeightFormat): number {
  return formats.indexOf(format);
}

/** Of a kernel's constants: its weights' format, for people; nothing of kernels without weights. */
export function formatSuffix({ FORMAT }: Readonly<Record<string, number | boolean>>): string {
  return typeof FORMAT === 'number' ? ` ${formats[FORMAT]}` : '';
}

/** Whether products with it meet activations in int8. */
export function inBlocks(format: WeightFormat): boolean {
  return !isDenseFormat(format);
}

export type Plane = 'integers' | 'highs' | 'scales' | 'supers';
export const planes: readonly Plane[] = ['integers', 'highs', 'scales', 'supers'];

/** Bytes of a unit in each plane; of K-quants in eighths, since 8 units share some. */
const unitBytes: Readonly<Record<WeightFormat, readonly [integers: number, highs: number, scales: number, supers: number]>> = {
  f32: [128, 0, 0, 0],
  f16: [64, 0, 0, 0],
  bf16: [64, 0, 0, 0],
  q8_0: [32, 0, 2, 0],
  q4_0: [16, 0, 2, 0],
  q4_1: [16, 0, 4, 0],
  q5_0: [16, 4, 2, 0],
  q5_1: [16, 4, 4, 0],
  q4_k: [16, 0, 2, 0],
  q5_k: [16, 4, 2, 0],
  q6_k: [16, 8, 2, 1 / 4],
};

/** Bytes of `units` units in a plane. */
export function planeBytes(format: WeightFormat, plane: Plane, units: number): number {
  return Math.ceil(unitBytes[format][planes.indexOf(plane)]! * units);
}

/** Where the planes of `units` units begin, in 16 bytes, and what they take, in bytes. */
export function planePlaces(format: WeightFormat, units: number): { readonly at: Readonly<Record<Plane, number>>; readonly bytes: number } {
  const at = { integers: 0, highs: 0, scales: 0, supers: 0 };
  let end = 0;
  for (const plane of planes) {
    at[plane] = end;
    end += Math.ceil(planeBytes(format, plane, units) / 16);
  }
  return { at, bytes: end * 16 };
}

export type Planes = Readonly<Record<Plane, Uint8Array<ArrayBuffer>>>;

/** Rows as a file has them, taken apart; each plane is whole words. */
export function splitRows(format: WeightFormat, bytes: Uint8Array<ArrayBuffer>, rows: number, inputs: number): Planes {
  const units = rows * Math.ceil(inputs / unit);
  const room = (plane: Plane): Uint8Array<ArrayBuffer> => new Uint8Array(Math.ceil(planeBytes(format, plane, units) / 4) * 4);
  const out = { integers: room('integers'), highs: room('highs'), scales: room('scales'), supers: room('supers') };
  if (isDenseFormat(format)) {
    const [from, to] = [storedBytes(format, inputs), out.integers.length / rows];
    if (from === to) return { ...out, integers: bytes };
    for (let r = 0; r < rows; r++) out.integers.set(bytes.subarray(r * from, (r + 1) * from), r * to);
    return out;
  }
  const block = layouts[format].bytes;
  const split = splitters[format];
  for (let at = 0, n = 0; at < bytes.length; at += block, n++) split(bytes, at, out, n);
  return out;
}

/** Block number `n`, which begins at byte `at`. */
type Split = (bytes: Uint8Array, at: number, out: Planes, n: number) => void;

/** What lies one after the other in a block, each part whole in its plane. */
function apart(...parts: readonly (readonly [plane: Plane, bytes: number])[]): Split {
  return (bytes, at, out, n) => {
    for (const [plane, count] of parts) {
      const [to, from] = [out[plane], n * count];
      for (let i = 0; i < count; i++) to[from + i] = bytes[at + i]!;
      at += count;
    }
  };
}

/** Of K-quants, elements 32 i .. of a byte's low halves and then of its high ones, into units of their own. */
function splitNibbles(bytes: Uint8Array, at: number, out: Uint8Array, to: number): void {
  for (let j = 0; j < 16; j++) {
    const [a, b] = [bytes[at + j]!, bytes[at + j + 16]!];
    out[to + j] = (a & 15) | ((b & 15) << 4);
    out[to + 16 + j] = (a >> 4) | (b & 0xf0);
  }
}

const splitters: Readonly<Record<Exclude<WeightFormat, 'f32' | 'f16' | 'bf16'>, Split>> = {
  q8_0: apart(['scales', 2], ['integers', 32]),
  q4_0: apart(['scales', 2], ['integers', 16]),
  q4_1: apart(['scales', 4], ['integers', 16]),
  q5_0: apart(['scales', 2], ['highs', 4], ['integers', 16]),
  q5_1: apart(['scales', 4], ['highs', 4], ['integers', 16]),
  q4_k: (bytes, at, { scales, integers }, n) => {
    for (let i = 0; i < 16; i++) scales[n * 16 + i] = bytes[at + i]!;
    for (let pair = 0; pair < 4; pair++) splitNibbles(bytes, at + 16 + pair * 32, integers, (n * 8 + pair * 2) * 16);
  },
  q5_k: (bytes, at, { scales, highs, integers }, n) => {
    for (let i = 0; i < 16; i++) scales[n * 16 + i] = bytes[at + i]!;
    // Bit s of byte l is element l's of unit s.
    for (let l = 0; l < 32; l++) {
      const fifths = bytes[at + 16 + l]!;
      for (let s = 0; s < 8; s++) highs[(n * 8 + s) * 4 + (l >> 3)]! |= ((fifths >> s) & 1) << (l & 7);
    }
    for (let pair = 0; pair < 4; pair++) splitNibbles(bytes, at + 48 + pair * 32, integers, (n * 8 + pair * 2) * 16);
  },
  q6_k: (bytes, at, { scales, supers, highs, integers }, n) => {
    for (let i = 0; i < 16; i++) scales[n * 16 + i] = bytes[at + 192 + i]!;
    supers.set(bytes.subarray(at + 208, at + 210), n * 2);
    for (let s = 0; s < 8; s++) {
      const [half, group] = [s >> 2, s & 3];
      const low = at + 64 * half + 32 * (group & 1);
      const high = at + 128 + 32 * half;
      const lowShift = (group >> 1) * 4;
      for (let j = 0; j < 16; j++) {
        integers[(n * 8 + s) * 16 + j] = ((bytes[low + j]! >> lowShift) & 15) | (((bytes[low + j + 16]! >> lowShift) & 15) << 4);
      }
      for (let j = 0; j < 8; j++) {
        const two = (l: number): number => (bytes[high + j + l]! >> (2 * group)) & 3;
        highs[(n * 8 + s) * 8 + j] = two(0) | (two(8) << 2) | (two(16) << 4) | (two(24) << 6);
      }
    }
  },
};
