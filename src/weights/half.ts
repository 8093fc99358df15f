/**
 * The two 16-bit floats of model files, to and from float32. Rounding is to nearest, ties to even.
 * bf16 is the upper half of a float32; f16 is IEEE 754 binary16 (5 bits of exponent, 10 of mantissa).
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

const halfToFloat = 2 ** 112;

export function bf16ToF32(half: number): number {
  bits[0] = half << 16;
  return float[0]!;
}

/** NaN stays NaN (made quiet, so that its payload can't round to infinity). */
export function f32ToBf16(value: number): number {
  float[0] = value;
  const b = bits[0]!;
  if ((b & 0x7fffffff) > 0x7f800000) return ((b >>> 16) | 0x40) & 0xffff;
  return ((b + 0x7fff + ((b >>> 16) & 1)) >>> 16) & 0xffff;
}

export function f16ToF32(half: number): number {
  const magnitude = half & 0x7fff;
  if (magnitude > 0x7c00) return NaN;
  if (magnitude === 0x7c00) return half & 0x8000 ? -Infinity : Infinity;
  // In a float32's place the exponent is 112 too small; the product mends that for normal and subnormal halves alike.
  bits[0] = magnitude << 13;
  const value = float[0]! * halfToFloat;
  return half & 0x8000 ? -value : value;
}

export function f32ToF16(value: number): number {
  float[0] = value;
  const b = bits[0]!;
  const sign = (b >>> 16) & 0x8000;
  const magnitude = b & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  // Subnormal halves are multiples of 2^-24, so the scaled value, rounded to an integer, is the result.
  if (magnitude < 0x38800000) return sign | roundHalfEven(Math.abs(float[0]) * 2 ** 24);
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** Round to the nearest integer, ties to the even one (C's nearbyint in the default mode). */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Round to the nearest integer, ties away from zero (C's roundf). */
export function roundHalfAway(value: number): number {
  return Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
}
