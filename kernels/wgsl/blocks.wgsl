// Units of 32 weights in blocks. What includes it has `weight_word(part, i)`, 16 bytes of a matrix, and the places of its planes,
// counted so: `highs_at(part)`, `scales_at(part)`, `supers_at(part)`. Planes, each with all the rows:
//   integers, from the beginning: q8_0 32 int8; else 16 bytes, byte j with the low four bits of elements j and j + 16.
//   highs: q5_0, q5_1, q5_k: bit j is the fifth of element j. q6_k: 8 bytes, byte j with the upper two bits of elements j,
//     j + 8, j + 16, j + 24.
//   scales: q8_0, q4_0, q5_0: f16 d. q4_1, q5_1: f16 d and m. q4_k, q5_k: for 8 units f16 d and dmin, then 6 bits of scale and of
//     min for each, in ggml's 12 bytes. q6_k: an int8 for 16 elements.
//   supers: q6_k: f16 d for 8 units.
#include "weights.wgsl"

// 32 int8, four to a word, in order.
struct Unit {
  low: vec4<u32>,
  high: vec4<u32>,
}

const HAS_MIN = FORMAT == Q4_1 || FORMAT == Q5_1 || FORMAT == Q4_K || FORMAT == Q5_K;
const HAS_FIFTH = FORMAT == Q5_0 || FORMAT == Q5_1 || FORMAT == Q5_K;

fn plane_word(part: u32, plane: u32, i: u32) -> u32 {
  return weight_word(part, plane + i / 4u)[i % 4u];
}

// The integers of a unit, the zero point taken off.
fn weight_unit(part: u32, unit: u32) -> Unit {
  if (FORMAT == Q8_0) {
    return Unit(weight_word(part, unit * 2u), weight_word(part, unit * 2u + 1u));
  }
  let bits = weight_word(part, unit);
  var low = bits & vec4(0x0f0f0f0fu);
  var high = (bits >> vec4(4u)) & vec4(0x0f0f0f0fu);
  if (HAS_FIFTH) {
    let fifth = plane_word(part, highs_at(part), unit);
    low |= spread(vec4(fifth, fifth >> 4u, fifth >> 8u, fifth >> 12u)) << vec4(4u);
    high |= spread(vec4(fifth >> 16u, fifth >> 20u, fifth >> 24u, fifth >> 28u)) << vec4(4u);
  }
  switch FORMAT {
    case Q4_0: { return Unit(signed(low, 3u), signed(high, 3u)); }
    case Q5_0: { return Unit(signed(low, 4u), signed(high, 4u)); }
    case Q6_K: {
      let pairs = vec2(plane_word(part, highs_at(part), unit * 2u), plane_word(part, highs_at(part), unit * 2u + 1u));
      low |= (vec4(pairs, pairs >> vec2(2u)) & vec4(0x03030303u)) << vec4(4u);
      high |= (vec4(pairs >> vec2(4u), pairs >> vec2(6u)) & vec4(0x03030303u)) << vec4(4u);
      return Unit(signed(low, 5u), signed(high, 5u));
    }
    default: { return Unit(low, high); }
  }
}

// The lowest four bits, one to a byte.
fn spread(bits: vec4<u32>) -> vec4<u32> {
  return ((bits & vec4(15u)) * 0x00204081u) & vec4(0x01010101u);
}

// n - 2^top in each byte, of n below 2^(top + 1): with that bit inverted, and those above it set where it then is.
fn signed(n: vec4<u32>, top: u32) -> vec4<u32> {
  let bit = vec4(0x01010101u << top);
  let turned = n ^ bit;
  return turned | ((turned & bit) * (256u / (1u << top) - 2u));
}

// Of a unit: the scales of its lower and its upper 16 elements, and its min.
fn weight_scales(part: u32, unit: u32) -> vec3<f32> {
  switch FORMAT {
    case Q4_1, Q5_1: {
      let pair = unpack2x16float(plane_word(part, scales_at(part), unit));
      return vec3(pair.x, pair.x, -pair.y);
    }
    case Q4_K, Q5_K: {
      let block = weight_word(part, scales_at(part) + unit / 8u);
      let pair = unpack2x16float(block.x);
      let shift = 8u * (unit % 4u);
      let a = (block.y >> shift) & 255u;
      let b = (block.z >> shift) & 255u;
      let c = (block.w >> shift) & 255u;
      let upper = unit % 8u >= 4u;
      let scale = select(a & 63u, (c & 15u) | ((a >> 6u) << 4u), upper);
      let least = select(b & 63u, (c >> 4u) | ((b >> 6u) << 4u), upper);
      return vec3(pair.x * f32(scale), pair.x * f32(scale), pair.y * f32(least));
    }
    case Q6_K: {
      let d = half_of(plane_word(part, supers_at(part), unit / 16u), unit / 8u);
      let four = unpack4xI8(plane_word(part, scales_at(part), unit / 2u));
      let two = select(four.xy, four.zw, unit % 2u == 1u);
      return vec3(d * f32(two.x), d * f32(two.y), 0.0);
    }
    default: {
      let d = half_of(plane_word(part, scales_at(part), unit / 2u), unit);
      return vec3(d, d, 0.0);
    }
  }
}
