// x[r] += rmsNorm(branch[r]; gain); if NEXT: next_out[r] = rmsNorm(x[r]; next_gain). A workgroup per row.
// Constants: NEXT, QUANTIZE (next_out also in int8: write_unit.wgsl).
#include "workgroup_sum.wgsl"
#include "write_unit.wgsl"

struct Params {
  rows: u32,
  width: u32,
  eps: f32,
  scales: u32,
  x_at: u32,
  branch_at: u32,
  gain_at: u32,
  next_gain_at: u32,
  next_out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> branch: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<storage, read> next_gain: array<f32>;
@group(0) @binding(5) var<storage, read_write> next_out: array<f32>;
@group(0) @binding(6) var<storage, read_write> quants: array<u32>;

const THREADS = 256u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let r = group.x + group.y * groups.x;
  if (r >= p.rows) {
    return;
  }
  let row = r * p.width;
  var squares = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    let value = branch[p.branch_at + row + i];
    squares = fma(value, value, squares);
  }
  let factor = 1.0 / sqrt(workgroup_sum(squares, thread) / f32(p.width) + p.eps);

  // A thread reads again only what it has written itself.
  squares = 0.0;
  for (var i = thread; i < p.width; i += THREADS) {
    let value = x[p.x_at + row + i] + branch[p.branch_at + row + i] * factor * gain[p.gain_at + i];
    x[p.x_at + row + i] = value;
    squares = fma(value, value, squares);
  }
  if (NEXT) {
    let next_factor = 1.0 / sqrt(workgroup_sum(squares, thread) / f32(p.width) + p.eps);
    for (var i = thread; i < p.width; i += THREADS) {
      next_out[p.next_out_at + row + i] = x[p.x_at + row + i] * next_factor * next_gain[p.next_gain_at + i];
    }
  }
  if (QUANTIZE) {
    storageBarrier();
    for (var unit = thread; unit < p.width / 32u; unit += THREADS) {
      var values: array<f32, 32>;
      for (var i = 0u; i < 32u; i++) {
        values[i] = next_out[p.next_out_at + r * p.width + unit * 32u + i];
      }
      write_unit(r * (p.width / 32u) + unit, &values);
    }
  }
}
