// The partial results of all slices, put together by one workgroup: the token, and ln of its probability; or, of a draw with
// bounds, its beginning.
// Constants: BEGIN (write `state`, else `out`).
#include "sampling.wgsl"

struct Params {
  // At most 256.
  slices: u32,
  temperature: f32,
  top_k: u32,
  // ln of min-p; below NO_MAX: none.
  log_min_p: f32,
  logits_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> partials: array<Partial>;
@group(0) @binding(3) var<storage, read_write> state: array<State>;
@group(0) @binding(4) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  var own = Partial(NO_MAX, NO_ID, NO_MAX, 0.0, 0.0);
  if (thread < p.slices) {
    own = partials[thread];
  }
  let best = best_of(Candidate(own.score, own.id), thread);
  let maximum = max_of(own.maximum, thread);
  var sums = vec2(own.sum * decay(own.maximum - maximum), 0.0);
  if (BEGIN) {
    sums.y = own.tempered * decay((own.maximum - maximum) / p.temperature);
  }
  sums = sums_of(sums, thread);
  if (thread > 0u) {
    return;
  }
  if (BEGIN) {
    var min_bound = 0u;
    if (p.log_min_p > NO_MAX) {
      min_bound = ordered(min(maximum, fma(p.temperature, p.log_min_p, maximum)));
    }
    state[0] = State(maximum, sums.y, 0u, p.top_k, 0u, min_bound);
  } else {
    out[p.out_at] = best.id;
    out[p.out_at + 1u] = 0u;
    if (best.id != NO_ID) {
      out[p.out_at + 1u] = bitcast<u32>(logits[p.logits_at + best.id] - maximum - log(sums.x));
    }
  }
}
