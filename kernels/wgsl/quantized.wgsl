// x of products with weights in q8_0 and q4_0, as quantize_rows.wgsl writes it, for mat_vec_q8.wgsl and mat_mul_q8.wgsl.
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;

// 32 int8, four to a word, in order.
struct Unit {
  low: vec4<u32>,
  high: vec4<u32>,
}

fn x_unit(row: u32, unit: u32) -> Unit {
  let at = (row * p.units + unit) * 2u;
  return Unit(x[at], x[at + 1u]);
}

fn x_scale(row: u32, unit: u32) -> f32 {
  let at = row * p.units + unit;
  return bitcast<f32>(x[p.x_scales + at / 4u][at % 4u]);
}

fn weight_unit(part: u32, unit: u32) -> Unit {
  if (FORMAT == Q8_0) {
    return Unit(weight_word(part, unit * 2u), weight_word(part, unit * 2u + 1u));
  }
  let bits = weight_word(part, unit);
  return Unit(low_nibbles(bits), high_nibbles(bits));
}

// The products of a unit, summed exactly.
fn unit_dot(w: Unit, x: Unit) -> i32 {
  return four_dot(w.low, x.low) + four_dot(w.high, x.high);
}
fn four_dot(a: vec4<u32>, b: vec4<u32>) -> i32 {
  return dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
}
