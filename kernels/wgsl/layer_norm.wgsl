// out[r] = (x[r] - mean) (variance + eps)^-1/2 gain + bias, over `width` elements. A workgroup per row.
#include "workgroup_sum.wgsl"

struct Params {
  rows: u32,
  width: u32,
  eps: f32,
  x_at: u32,
  gain_at: u32,
  bias_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS = 256u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let r = group.x + group.y * groups.x;
  if (r >= p.rows) {
    return;
  }
  let begin = p.x_at + r * p.width;
  var sum = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    sum += x[begin + i];
  }
  // Far from 0, the mean is rounded to large steps: so from a first one only, and the rest is the mean of the differences.
  let near = workgroup_sum(sum, thread) / f32(p.width);
  sum = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    sum += x[begin + i] - near;
  }
  let rest = workgroup_sum(sum, thread) / f32(p.width);
  // mean(x^2) - mean^2 would be all rounding error.
  var squares = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    let difference = x[begin + i] - near - rest;
    squares = fma(difference, difference, squares);
  }
  let factor = 1.0 / sqrt(workgroup_sum(squares, thread) / f32(p.width) + p.eps);
  for (var i = thread; i < p.width; i += THREADS) {
    out[p.out_at + r * p.width + i] = (x[begin + i] - near - rest) * factor * gain[p.gain_at + i] + bias[p.bias_at + i];
  }
}
