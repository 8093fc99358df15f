// In place: each head of q is RMS-normalised over HEAD_DIM, then rotated. A workgroup per head of a row.
// Constants: HEAD_DIM, ROPE.
#include "norm_rotate.wgsl"

struct Params {
  rows: u32,
  heads: u32,
  eps: f32,
  q_at: u32,
  gain_at: u32,
  rope_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> q: array<f32>;
@group(0) @binding(2) var<storage, read> gain: array<f32>;
// [rows, HEAD_DIM]: cosines, then sines.
@group(0) @binding(3) var<storage, read> rope: array<f32>;

@compute @workgroup_size(HEAD_THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x + group.y * groups.x;
  if (head >= p.rows * p.heads) {
    return;
  }
  let begin = p.q_at + head * HEAD_DIM;
  var sum = 0.0;
  for (var i = thread; i < HEAD_DIM; i += HEAD_THREADS) {
    sum = fma(q[begin + i], q[begin + i], sum);
  }
  let factor = inverse_rms(sum, p.eps, thread);
  for (var j = thread; j < HALF_DIM; j += HEAD_THREADS) {
    var pair = vec2(q[begin + j] * factor * gain[p.gain_at + j], q[begin + j + HALF_DIM] * factor * gain[p.gain_at + j + HALF_DIM]);
    if (ROPE) {
      let table = p.rope_at + head / p.heads * HEAD_DIM + j;
      pair = rotated(pair.x, pair.y, rope[table], rope[table + HALF_DIM]);
    }
    q[begin + j] = pair.x;
    q[begin + j + HALF_DIM] = pair.y;
  }
}
