// A slice of the logits: its best candidate, and what the softmax needs. A workgroup per slice.
// Constants: DRAW (else the candidate is the largest logit), BOUND (only logits not below `state` says).
#include "sampling.wgsl"

struct Params {
  count: u32,
  // Logits of a workgroup.
  slice: u32,
  stream: u32,
  temperature: f32,
  logits_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<State>;
@group(0) @binding(3) var<storage, read_write> partials: array<Partial>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let begin = group.x * p.slice;
  let end = min(begin + p.slice, p.count);
  var most = NO_MAX;
  for (var i = begin + thread; i < end; i += THREADS) {
    most = max(most, drawable(logits[p.logits_at + i]));
  }
  let maximum = max_of(most, thread);

  var bound = 0u;
  if (BOUND) {
    bound = max(state[0].bound, state[0].min_bound);
  }
  // Of logits as they are, and divided by the temperature.
  var sums = vec2(0.0);
  var best = Candidate(NO_MAX, NO_ID);
  for (var i = begin + thread; i < end; i += THREADS) {
    let logit = drawable(logits[p.logits_at + i]);
    if (logit <= NO_MAX) {
      continue;
    }
    sums.x += decay(logit - maximum);
    var candidate = Candidate(logit, i);
    if (DRAW) {
      sums.y += decay((logit - maximum) / p.temperature);
      candidate.score = logit / p.temperature + gumbel(p.stream, i);
    }
    if (ordered(logit) >= bound && wins(candidate, best)) {
      best = candidate;
    }
  }
  best = best_of(best, thread);
  sums = sums_of(sums, thread);
  if (thread == 0u) {
    partials[group.x] = Partial(best.score, best.id, maximum, sums.x, sums.y);
  }
}
