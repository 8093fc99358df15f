// RMS-norm and rotary embedding of one head's vector, for norm_rope.wgsl and store_kv.wgsl.
// Constants: HEAD_DIM. ROPE: a table is given.
//
// Element j is paired with j + HEAD_DIM / 2: a' = a cos - b sin, b' = b cos + a sin.
#include "workgroup_sum.wgsl"

const THREADS = 64u;
const HALF_DIM = HEAD_DIM / 2u;

// (mean(x^2) + eps)^-1/2 of a vector of which each thread has summed its squares. All threads must call it.
fn inverse_rms(sum: f32, eps: f32, thread: u32) -> f32 {
  return 1.0 / sqrt(workgroup_sum(sum, thread) / f32(HEAD_DIM) + eps);
}

fn rotated(a: f32, b: f32, cosine: f32, sine: f32) -> vec2<f32> {
  return vec2(fma(a, cosine, -(b * sine)), fma(b, cosine, a * sine));
}
