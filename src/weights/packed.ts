/**
 * The block formats that GGUF files hold and devices do not compute on, unpacked to float32 with the roundings of gguf-py.
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
import { layouts, type PackedFormat } from './blocks.js';
import { f16ToF32 } from './half.js';

/** Writes the elements of one block, which begins at byte `at` of `bytes`, to `out` from `to` on. */
type Unpack = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void;

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
    const d = f16At(bytes, at);
    const m = hasMin ? f16At(bytes, at + 2) : 0;
    const high = at + (hasMin ? 4 : 2);
    const quants = smallQuants(bytes, fiveBits ? high + 4 : high, fiveBits ? high : null);
    for (const [j, q] of quants.entries()) out[to + j] = hasMin ? f32(q * d) + m : (q - 16) * d;
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
      const step = f32(d * scale);
      const m = f32(dmin * min);
      for (let l = 0; l < 32; l++) {
        const nibble = (bytes[quants + (sub >> 1) * 32 + l]! >> ((sub & 1) * 4)) & 15;
        const q = fiveBits ? nibble | (((bytes[high + l]! >> sub) & 1) << 4) : nibble;
        out[to + sub * 32 + l] = f32(step * q) - m;
      }
    }
  };
}

const unpackK6: Unpack = (bytes, at, out, to) => {
  const d = f16At(bytes, at + 208);
  for (let sub = 0; sub < 8; sub++) {
    const half = sub >> 2;
    const group = sub & 3;
    for (let l = 0; l < 32; l++) {
      const low = (bytes[at + 64 * half + 32 * (group & 1) + l]! >> ((group >> 1) * 4)) & 15;
      const high = (bytes[at + 128 + 32 * half + l]! >> (2 * group)) & 3;
      const scale = (bytes[at + 192 + 8 * half + 2 * group + (l >> 4)]! << 24) >> 24;
      out[to + sub * 32 + l] = f32(d * scale) * ((low | (high << 4)) - 32);
    }
  }
};

const unpackers: Readonly<Record<PackedFormat, Unpack>> = {
  q4_1: unpackSmall(true, false),
  q5_0: unpackSmall(false, true),
  q5_1: unpackSmall(true, true),
  q4_k: unpackK45(false),
  q5_k: unpackK45(true),
  q6_k: unpackK6,
};

/** The values of whole blocks. */
export function unpackValues(format: PackedFormat, bytes: Uint8Array): Float32Array {
  const { elements, bytes: blockBytes } = layouts[format];
  const count = bytes.length / blockBytes;
  const out = new Float32Array(count * elements);
  for (let block = 0; block < count; block++) unpackers[format](bytes, block * blockBytes, out, block * elements);
  return out;
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
