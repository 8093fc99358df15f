// Weight matrices as the device lays them out (src/device/webgpu/weights.ts): rows of whole units of 32 elements, filled up
// with zeros. f32, f16 and bf16: the elements, in order. q8_0: 32 int8. q4_0: 16 bytes, byte j with element j in its low
// nibble and element j + 16 in its high one. After all the rows of q8_0 and q4_0 come the units' scales, f16.
// Constants: FORMAT, one of these.
const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const Q8_0 = 3u;
const Q4_0 = 4u;

const UNIT = 32u;
const QUANTIZED = FORMAT == Q8_0 || FORMAT == Q4_0;
// Elements in 16 bytes of a dense format, and 16-byte words in a unit.
const CHUNK = select(8u, 4u, FORMAT == F32);
const UNIT_WORDS = select(UNIT / CHUNK, select(2u, 1u, FORMAT == Q4_0), QUANTIZED);

// Elements 0 to 3 of 16 bytes, and 4 to 7 where there are 8.
fn chunk_low(bits: vec4<u32>) -> vec4<f32> {
  switch FORMAT {
    case F32: { return bitcast<vec4<f32>>(bits); }
    case F16: { return vec4(unpack2x16float(bits.x), unpack2x16float(bits.y)); }
    default: { return bf16_values(bits.xy); }
  }
}
fn chunk_high(bits: vec4<u32>) -> vec4<f32> {
  if (FORMAT == F16) {
    return vec4(unpack2x16float(bits.z), unpack2x16float(bits.w));
  }
  return bf16_values(bits.zw);
}
fn bf16_values(bits: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4(bits.x << 16u, bits.x & 0xffff0000u, bits.y << 16u, bits.y & 0xffff0000u));
}

// The int8 of a q4_0 unit, four to a word: elements 0 to 15, and 16 to 31.
fn low_nibbles(bits: vec4<u32>) -> vec4<u32> {
  return less_eight(bits & vec4(0x0f0f0f0fu));
}
fn high_nibbles(bits: vec4<u32>) -> vec4<u32> {
  return less_eight((bits >> vec4(4u)) & vec4(0x0f0f0f0fu));
}
// n - 8 in each byte: the low three bits, and the upper five set where bit 3 is not.
fn less_eight(n: vec4<u32>) -> vec4<u32> {
  return (n & vec4(0x07070707u)) | (((n & vec4(0x08080808u)) ^ vec4(0x08080808u)) * 31u);
}

// Number `index` of the f16 numbers that begin with the low half of `word`.
fn half_of(word: u32, index: u32) -> f32 {
  return unpack2x16float(word >> (16u * (index & 1u))).x;
}
