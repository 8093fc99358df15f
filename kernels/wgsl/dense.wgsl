// x of products with weights in f32, f16 and bf16, for mat_vec.wgsl and mat_mul.wgsl.
@group(0) @binding(1) var<storage, read> x: array<f32>;

// Four elements of a row; 0 beyond its end.
fn x_four(row: u32, i: u32) -> vec4<f32> {
  let at = p.x_at + row * p.inputs + i;
  if (TAIL) {
    var four = vec4(0.0);
    for (var e = 0u; e < 4u; e++) {
      if (i + e < p.inputs) {
        four[e] = x[at + e];
      }
    }
    return four;
  }
  return vec4(x[at], x[at + 1u], x[at + 2u], x[at + 3u]);
}
