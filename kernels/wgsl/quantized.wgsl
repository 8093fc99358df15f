// Products of weights in blocks with x in int8, as write_unit.wgsl lays it out, for mat_vec_q8.wgsl and mat_mul_q8.wgsl.
#include "blocks.wgsl"
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;

fn x_unit(row: u32, unit: u32) -> Unit {
  let at = (row * p.units + unit) * 2u;
  return Unit(x[at], x[at + 1u]);
}

fn x_scale(row: u32, unit: u32) -> f32 {
  let at = row * p.units + unit;
  return bitcast<f32>(x[p.x_scales + at / 4u][at % 4u]);
}

// The sum of a unit of x, which mins are taken off by.
fn x_sum(x: Unit) -> i32 {
  if (!HAS_MIN) {
    return 0;
  }
  let ones = vec4(0x01010101u);
  return four_dot(x.low, ones) + four_dot(x.high, ones);
}

// acc + the product of a unit: integers are summed exactly, then scaled.
fn add_product(acc: f32, w: Unit, scales: vec3<f32>, x: Unit, scale: f32, sum: i32) -> f32 {
  if (FORMAT == Q6_K) {
    let low = fma(f32(four_dot(w.low, x.low)), scales.x * scale, acc);
    return fma(f32(four_dot(w.high, x.high)), scales.y * scale, low);
  }
  let product = fma(f32(four_dot(w.low, x.low) + four_dot(w.high, x.high)), scales.x * scale, acc);
  if (HAS_MIN) {
    return fma(-f32(sum), scales.z * scale, product);
  }
  return product;
}

fn four_dot(a: vec4<u32>, b: vec4<u32>) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}
