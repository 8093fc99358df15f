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

var<workgroup> numbers: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let begin = group.x * p.slice;
  let end = min(begin + p.slice, p.count);
  var most = NO_MAX;
  for (var i = begin + thread; i < end; i += THREADS) {
    most = max(most, drawable(logits[p.logits_at + i]));
  }
  numbers[thread] = most;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      numbers[thread] = max(numbers[thread], numbers[thread + half]);
    }
  }
  workgroupBarrier();
  let maximum = numbers[0];
  workgroupBarrier();

  var bound = 0u;
  if (BOUND) {
    bound = max(state[0].bound, state[0].min_bound);
  }
  var sum = 0.0;
  var tempered = 0.0;
  var score = NO_MAX;
  var id = NO_ID;
  for (var i = begin + thread; i < end; i += THREADS) {
    let logit = drawable(logits[p.logits_at + i]);
    if (logit <= NO_MAX) {
      continue;
    }
    sum += decay(logit - maximum);
    var candidate = logit;
    if (DRAW) {
      tempered += decay((logit - maximum) / p.temperature);
      candidate = logit / p.temperature + gumbel(p.stream, i);
    }
    if (ordered(logit) >= bound && wins(candidate, i, score, id)) {
      score = candidate;
      id = i;
    }
  }
  best_of(score, id, thread);
  let total = sum_of(sum, thread);
  let tempered_total = sum_of(tempered, thread);
  if (thread == 0u) {
    partials[group.x] = Partial(scores[0], ids[0], maximum, total, tempered_total);
  }
}

// In thread 0. All threads must call it.
fn sum_of(value: f32, thread: u32) -> f32 {
  workgroupBarrier();
  numbers[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      numbers[thread] += numbers[thread + half];
    }
  }
  workgroupBarrier();
  return numbers[0];
}
