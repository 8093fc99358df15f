// out = gelu_tanh(x) or, if EXACT, x/2 (1 + erf(x / sqrt 2)), element by element.
// Constants: EXACT.
#include "gelu_tanh.wgsl"
#include "gelu_erf.wgsl"

struct Params {
  count: u32,
  x_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let i = (group.x + group.y * groups.x) * 256u + thread;
  if (i < p.count) {
    if (EXACT) {
      out[p.out_at + i] = gelu_erf(x[p.x_at + i]);
    } else {
      out[p.out_at + i] = gelu_tanh(x[p.x_at + i]);
    }
  }
}
