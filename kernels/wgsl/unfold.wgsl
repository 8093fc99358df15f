// out[r] = the `taps` rows of x from r stride - pad on, zeros outside. A thread per element of out.
struct Params {
  length: u32,
  width: u32,
  rows: u32,
  taps: u32,
  stride: u32,
  pad: u32,
  x_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let element = (group.x + group.y * groups.x) * 256u + thread;
  if (element >= p.rows * p.taps * p.width) {
    return;
  }
  let tap = element / p.width;
  // Row `at - pad` of x.
  let at = tap / p.taps * p.stride + tap % p.taps;
  var value = 0.0;
  if (at >= p.pad && at - p.pad < p.length) {
    value = x[p.x_at + (at - p.pad) * p.width + element % p.width];
  }
  out[p.out_at + element] = value;
}
