// out[r] = x[r] (mean(x[r]^2) + eps)^-1/2 gain, over `width` elements. A workgroup per row.
#include "row_sum.wgsl"

struct Params {
  rows: u32,
  width: u32,
  eps: f32,
  x_at: u32,
  gain_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let r = group.x + group.y * groups.x;
  if (r >= p.rows) {
    return;
  }
  let begin = p.x_at + r * p.width;
  var squares = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    squares = fma(x[begin + i], x[begin + i], squares);
  }
  let factor = 1.0 / sqrt(row_sum(squares, thread) / f32(p.width) + p.eps);
  for (var i = thread; i < p.width; i += THREADS) {
    out[p.out_at + r * p.width + i] = x[begin + i] * factor * gain[p.gain_at + i];
  }
}
