// In place: each head of q is RMS-normalised over HEAD_DIM, then rotated. A workgroup per head of a row.
// Constants: HEAD_DIM, ROPE.
#include "rotate_query.wgsl"

struct Params {
  rows: u32,
  heads: u32,
  eps: f32,
  q_at: u32,
  q_gain_at: u32,
  rope_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read> q_gain: array<f32>;
// [rows, HEAD_DIM]: cosines, then sines.
@group(0) @binding(3) var<storage, read> rope: array<f32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x + group.y * groups.x;
  if (head < p.rows * p.heads) {
    rotate_query(head, thread);
  }
}
