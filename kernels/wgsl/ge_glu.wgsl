// out = gelu_tanh(gate) * up, element by element.
#include "gelu_tanh.wgsl"

struct Params {
  count: u32,
  gate_at: u32,
  up_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> gate: array<f32>;
@group(0) @binding(2) var<storage, read> up: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * 256u + thread;
  if (i < p.count) {
    out[p.out_at + i] = gelu_tanh(gate[p.gate_at + i]) * up[p.up_at + i];
  }
}
