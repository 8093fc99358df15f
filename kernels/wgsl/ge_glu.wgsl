// out = gelu_tanh(gate) * up, element by element.
// Constants: QUANTIZE (out also in int8: write_unit.wgsl; count is a multiple of 32).
#include "gelu_tanh.wgsl"
#include "write_unit.wgsl"

struct Params {
  count: u32,
  scales: u32,
  gate_at: u32,
  up_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<f32>;
@group(0) @binding(2) var<storage, read> up: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<storage, read_write> quants: array<u32>;

const THREADS = 256u;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first = (group.x + group.y * groups.x) * THREADS;
  let i = first + thread;
  if (i < p.count) {
    out[p.out_at + i] = gelu_tanh(gate[p.gate_at + i]) * up[p.up_at + i];
  }
  if (QUANTIZE) {
    storageBarrier();
    let begin = first + thread * 32u;
    if (thread < THREADS / 32u && begin < p.count) {
      var values: array<f32, 32>;
      for (var e = 0u; e < 32u; e++) {
        values[e] = out[p.out_at + begin + e];
      }
      write_unit(begin / 32u, &values);
    }
  }
}
