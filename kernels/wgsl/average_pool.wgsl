// The mean of each square of size x size cells: x [side, side, width], out [side / size, side / size, width].
// A thread per element of out.
struct Params {
  side: u32,
  size: u32,
  width: u32,
  x_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let element = (group.x + group.y * groups.x) * 256u + thread;
  let smaller = p.side / p.size;
  if (element >= smaller * smaller * p.width) {
    return;
  }
  let cell = element / p.width;
  let top = cell / smaller * p.size;
  let left = cell % smaller * p.size;
  var sum = 0.0;
  for (var row = top; row < top + p.size; row++) {
    for (var column = left; column < left + p.size; column++) {
      sum += x[p.x_at + (row * p.side + column) * p.width + element % p.width];
    }
  }
  out[p.out_at + element] = sum / f32(p.size * p.size);
}
