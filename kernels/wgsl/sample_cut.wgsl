// The bin in which the bound lies: from the highest down, the first at whose end enough is counted. One workgroup.
// Constants: MASS (of top-p: probability is counted; else of top-k: logits).
#include "sampling.wgsl"

struct Params {
  shift: u32,
  // The share that top-p keeps.
  top_p: f32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> state: array<State>;
// As sample_count.wgsl leaves them; zeros afterwards.
@group(0) @binding(2) var<storage, read_write> bins: array<u32>;

var<workgroup> amounts: array<u32, THREADS>;
var<workgroup> counts: array<u32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  counts[thread] = bins[thread];
  amounts[thread] = select(bins[thread], bins[THREADS + thread], MASS);
  bins[thread] = 0u;
  bins[THREADS + thread] = 0u;
  workgroupBarrier();
  if (thread > 0u) {
    return;
  }
  var left = state[0].target_left;
  if (MASS && p.shift == 24u) {
    var whole = 0u;
    for (var bin = 0u; bin < THREADS; bin++) {
      whole += amounts[bin];
    }
    left = min(whole, u32(f32(whole) * p.top_p));
  }
  // Where less is there than wanted, the lowest that has any.
  var chosen = 0u;
  var chosen_left = 0u;
  for (var i = 0u; i < THREADS; i++) {
    let bin = THREADS - 1u - i;
    if (counts[bin] == 0u) {
      continue;
    }
    chosen = bin;
    chosen_left = left;
    if (amounts[bin] >= left) {
      break;
    }
    left -= amounts[bin];
  }
  state[0].prefix |= chosen << p.shift;
  state[0].target_left = chosen_left;
  if (p.shift == 0u) {
    state[0].bound = max(state[0].bound, state[0].prefix);
    state[0].prefix = 0u;
  }
}
