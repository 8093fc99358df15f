// A query head in place: RMS-normalised over HEAD_DIM, then rotated if ROPE. For norm_rope.wgsl and store_kv.wgsl, which have
// `q`, `q_gain` and `rope`, and p.heads.
#include "norm_rotate.wgsl"

// Heads are counted through all rows. All threads must call it.
fn rotate_query(head: u32, thread: u32) {
  let begin = p.q_at + head * HEAD_DIM;
  var sum = 0.0;
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    sum = fma(q[begin + i], q[begin + i], sum);
  }
  let factor = inverse_rms(sum, p.eps, thread);
  for (var j = thread; j < HALF_DIM; j += THREADS) {
    var pair = vec2(q[begin + j] * factor * q_gain[p.q_gain_at + j], q[begin + j + HALF_DIM] * factor * q_gain[p.q_gain_at + j + HALF_DIM]);
    if (ROPE) {
      let table = p.rope_at + head / p.heads * HEAD_DIM + j;
      pair = rotated(pair.x, pair.y, rope[table], rope[table + HALF_DIM]);
    }
    q[begin + j] = pair.x;
    q[begin + j + HALF_DIM] = pair.y;
  }
}
