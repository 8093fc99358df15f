/**
 * The block formats of GGUF files beside q8_0 and q4_0, unpacked with the roundings of gguf-py.
 *
 * Of 32 elements, d and m in f16, element j's nibble q in byte j's low half, element j + 16's in its high half:
 *   q4_1, 20 bytes: d, m, 16 bytes of nibbles.                                  value = q d + m
 *   q5_0, 22 bytes: d, u32 with the fifth bit of element j in bit j, nibbles.   value = (q - 16) d
 *   q5_1, 24 bytes: d, m, fifth bits, nibbles.                                  value = q d + m
 * Of 256 elements in 8 sub-blocks of 32, sub-block s with a scale and (q4_k, q5_k) a min of 6 bits:
 *   q4_k, 144 bytes: d, dmin, 12 bytes of scales and mins, 128 bytes of nibbles: those of sub-blocks 2i and 2i + 1 in the
 *     low and high halves of bytes 32 i .. 32 i + 31.                           value = q (d scale) - dmin min
 *   q5_k, 176 bytes: the same with 32 bytes before the nibbles; bit s of byte l is the fifth bit of element l of s.
 *   q6_k, 210 bytes: 128 bytes of low nibbles, 64 of the upper two bits, 16 signed scales, one for 16 elements, d.
 *                                                                               value = (q - 32) (d scale)
 * Source: ggml's `ggml-common.h` and its `dequantize_row_*`.
 */
import { blockValues, layouts, type Blocks, type PackedFormat } from './blocks.js';
import { f16ToF32 } from './half.js';

/** Room for the unpacked blocks of a matrix, whose formats without a min have none. */
interface Target {
  readonly q: Int8Array;
  readonly d: Float32Array;
  readonly min: Float32Array;
}

/** Unpacks one block, which begins at byte `at` of `bytes`, and whose first element is number `to`. */
type Unpack = (bytes: Uint8Array, at: number, out: Target, to: number) => void;

const f32 = Math.fround;

function f16At(bytes: Uint8Array, at: number): number {
  return f16ToF32(bytes[at]! | (bytes[at + 1]! << 8));
}

/** q of 32 elements; `high` is where their fifth bits lie, or null. */
function smallQuants(bytes: Uint8Array, nibbles: number, high: number | null): number[] {
  const fifth = (j: number): number => (high === null ? 0 : ((bytes[high + (j >> 3)]! >> (j & 7)) & 1) << 4);
  return Array.from({ length: 32 }, (_, j) => {
    const pair = bytes[nibbles + (j & 15)]!;
    return (j < 16 ? pair & 15 : pair >> 4) | fifth(j);
  });
}

function unpackSmall(hasMin: boolean, fiveBits: boolean): Unpack {
  return (bytes, at, out, to) => {
    const high = at + (hasMin ? 4 : 2);
    const quants = smallQuants(bytes, fiveBits ? high + 4 : high, fiveBits ? high : null);
    out.d[to >> 5] = f16At(bytes, at);
    if (hasMin) out.min[to >> 5] = -f16At(bytes, at + 2);
    for (const [j, q] of quants.entries()) out.q[to + j] = hasMin ? q : q - 16;
  };
}

function unpackK45(fiveBits: boolean): Unpack {
  return (bytes, at, out, to) => {
    const d = f16At(bytes, at);
    const dmin = f16At(bytes, at + 2);
    const s = (i: number): number => bytes[at + 4 + i]!;
    const high = at + 16;
    const quants = fiveBits ? high + 32 : high;
    for (let sub = 0; sub < 8; sub++) {
      const scale = sub < 4 ? s(sub) & 63 : (s(sub + 4) & 15) | ((s(sub - 4) >> 6) << 4);
      const min = sub < 4 ? s(sub + 4) & 63 : (s(sub + 4) >> 4) | ((s(sub) >> 6) << 4);
      out.d[(to >> 5) + sub] = f32(d * scale);
      out.min[(to >> 5) + sub] = f32(dmin * min);
      for (let l = 0; l < 32; l++) {
        const nibble = (bytes[quants + (sub >> 1) * 32 + l]! >> ((sub & 1) * 4)) & 15;
        out.q[to + sub * 32 + l] = fiveBits ? nibble | (((bytes[high + l]! >> sub) & 1) << 4) : nibble;
      }
    }
  };
}

const unpackK6: Unpack = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 208);
  for (let s = 0; s < 16; s++) out.d[(to >> 4) + s] = f32(d * ((bytes[at + 192 + s]! << 24) >> 24));
  for (let sub = 0; sub < 8; sub++) {
    const half = sub >> 2;
    const group = sub & 3;
    for (let l = 0; l < 32; l++) {
      const low = (bytes[at + 64 * half + 32 * (group & 1) + l]! >> ((group >> 1) * 4)) & 15;
      const high = (bytes[at + 128 + 32 * half + l]! >> (2 * group)) & 3;
      out.q[to + sub * 32 + l] = (low | (high << 4)) - 32;
    }
  }
};

interface Packing {
  readonly unpack: Unpack;
  readonly hasMin: boolean;
  readonly per: 16 | 32;
}

const packings: Readonly<Record<PackedFormat, Packing>> = {
  q4_1: { unpack: unpackSmall(true, false), hasMin: true, per: 32 },
  q5_0: { unpack: unpackSmall(false, true), hasMin: false, per: 32 },
  q5_1: { unpack: unpackSmall(true, true), hasMin: true, per: 32 },
  q4_k: { unpack: unpackK45(false), hasMin: true, per: 32 },
  q5_k: { unpack: unpackK45(true), hasMin: true, per: 32 },
  q6_k: { unpack: unpackK6, hasMin: false, per: 16 },
};

/** Integers, scales and mins of whole blocks. */
export function unpackPacked(format: PackedFormat, bytes: Uint8Array): Blocks {
  const { elements, bytes: blockBytes } = layouts[format];
  const { unpack, hasMin, per } = packings[format];
  const count = (bytes.length / blockBytes) * elements;
  const out = { q: new Int8Array(count), d: new Float32Array(count / per), min: new Float32Array(hasMin ? count / 32 : 0) };
  for (let to = 0, at = 0; to < count; to += elements, at += blockBytes) unpack(bytes, at, out, to);
  return { ...out, per, min: hasMin ? out.min : null };
}

/** The values of whole blocks. */
export function unpackValues(format: PackedFormat, bytes: Uint8Array): Float32Array {
  return blockValues(unpackPacked(format, bytes));
}

/** q5_0 as q8_0 with the same scales: nothing is rounded. */
export function q5ToQ8(bytes: Uint8Array): Uint8Array {
  const count = bytes.length / layouts.q5_0.bytes;
  const out = new Uint8Array(count * layouts.q8_0.bytes);
  for (let block = 0; block < count; block++) {
    const from = block * layouts.q5_0.bytes;
    const to = block * layouts.q8_0.bytes;
    out.set(bytes.subarray(from, from + 2), to);
    for (const [j, q] of smallQuants(bytes, from + 6, from + 2).entries()) out[to + 2 + j] = q - 16;
  }
  return out;
}
