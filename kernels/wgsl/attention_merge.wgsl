// The partitions of attention.wgsl with SPLIT, merged in order, as it does itself without. A workgroup per query head of a
// position. Constants: HEAD_DIM, QUANTIZE (the result also in int8: write_unit.wgsl).
#include "softmax.wgsl"
#include "write_unit.wgsl"

struct Params {
  // Query heads of all positions, and partitions.
  rows: u32,
  partitions: u32,
  scales: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
// [partition][row][HEAD_DIM]
@group(0) @binding(1) var<storage, read> partials: array<f32>;
// [partition][row]: maximum, and sum of exponentials.
@group(0) @binding(2) var<storage, read> state: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> quants: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.x + group.y * groups.x;
  if (row >= p.rows) {
    return;
  }
  for (var i = thread; i < HEAD_DIM; i += 64u) {
    var maximum = NO_MAX;
    var sum = 0.0;
    var total = 0.0;
    for (var part = 0u; part < p.partitions; part++) {
      let index = part * p.rows + row;
      let merged = merge(maximum, sum, state[index].x, state[index].y);
      maximum = merged.maximum;
      sum = merged.total;
      total = fma(partials[index * HEAD_DIM + i], merged.b, total * merged.a);
    }
    out[p.out_at + row * HEAD_DIM + i] = total / sum;
  }
  if (QUANTIZE) {
    storageBarrier();
    for (var unit = thread; unit < HEAD_DIM / 32u; unit += 64u) {
      var values: array<f32, 32>;
      for (var e = 0u; e < 32u; e++) {
        values[e] = out[p.out_at + row * HEAD_DIM + unit * 32u + e];
      }
      write_unit(row * (HEAD_DIM / 32u) + unit, &values);
    }
  }
}
