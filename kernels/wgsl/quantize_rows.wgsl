// Rows of activations to int8 in units of 32: d = max|x| / 127, q = round(x / d) to nearest even; d and q are 0 where d would
// be subnormal, d is NaN where the unit holds NaN or an infinity. A thread per unit.
// For what no other kernel has written so.
struct Params {
  rows: u32,
  inputs: u32,
  scales: u32,
  x_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> quants: array<u32>;

#include "write_unit.wgsl"

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let unit = (group.x + group.y * groups.x) * 64u + thread;
  if (unit >= p.rows * (p.inputs / 32u)) {
    return;
  }
  var values: array<f32, 32>;
  for (var i = 0u; i < 32u; i++) {
    values[i] = x[p.x_at + unit * 32u + i];
  }
  write_unit(unit, &values);
}
