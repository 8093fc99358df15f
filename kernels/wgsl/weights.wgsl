// Weight matrices as the device lays them out (src/device/webgpu/weight-layout.ts): rows of whole units of 32 elements, filled up
// with zeros. Of f32, f16 and bf16 the elements in order; of formats in blocks integers and scales, see blocks.wgsl.
// Constants: FORMAT, one of these.
const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const Q8_0 = 3u;
const Q4_0 = 4u;
const Q4_1 = 5u;
const Q5_0 = 6u;
const Q5_1 = 7u;
const Q4_K = 8u;
const Q5_K = 9u;
const Q6_K = 10u;

const UNIT = 32u;
const QUANTIZED = FORMAT >= Q8_0;
// Elements in 16 bytes of a dense format, and 16-byte words in a unit.
const CHUNK = select(8u, 4u, FORMAT == F32);
const UNIT_WORDS = UNIT / CHUNK;

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

// Number `index` of the f16 numbers that begin with the low half of `word`.
fn half_of(word: u32, index: u32) -> f32 {
  return unpack2x16float(word >> (16u * (index & 1u))).x;
}
