// out[r] = x[r] (mean(x[r]^2) + eps)^-1/2 gain, over `width` elements. A workgroup per row.
// Constants: QUANTIZE (out also in int8: write_unit.wgsl).
#include "workgroup_sum.wgsl"
#include "write_unit.wgsl"

struct Params {
  rows: u32,
  width: u32,
  eps: f32,
  scales: u32,
  x_at: u32,
  gain_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> quants: array<u32>;

const THREADS = 256u;

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
  let factor = 1.0 / sqrt(workgroup_sum(squares, thread) / f32(p.width) + p.eps);
  for (var i = thread; i < p.width; i += THREADS) {
    out[p.out_at + r * p.width + i] = x[begin + i] * factor * gain[p.gain_at + i];
  }
  if (QUANTIZE) {
    storageBarrier();
    for (var unit = thread; unit < p.width / 32u; unit += THREADS) {
      var values: array<f32, 32>;
      for (var i = 0u; i < 32u; i++) {
        values[i] = out[p.out_at + r * p.width + unit * 32u + i];
      }
      write_unit(r * (p.width / 32u) + unit, &values);
    }
  }
}
