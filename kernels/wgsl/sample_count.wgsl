// Of the logits that may be the bound that is being looked for: how many lie in each of 256 bins of the next 8 bits, and what
// probability, in 2^-30 of the whole. A workgroup per slice.
#include "sampling.wgsl"

struct Params {
  count: u32,
  slice: u32,
  temperature: f32,
  // The lowest of the 8 bits.
  shift: u32,
  logits_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<State>;
// 256 counts, then 256 probabilities; zeros before the first workgroup.
@group(0) @binding(3) var<storage, read_write> bins: array<atomic<u32>>;

var<workgroup> counts: array<atomic<u32>, THREADS>;
var<workgroup> masses: array<atomic<u32>, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  atomicStore(&counts[thread], 0u);
  atomicStore(&masses[thread], 0u);
  workgroupBarrier();
  let now = state[0];
  // Of 32 bits, a shift by 32 would be none.
  let known = select(0xffffffffu << min(p.shift + 8u, 31u), 0u, p.shift == 24u);
  for (var i = group.x * p.slice + thread; i < min((group.x + 1u) * p.slice, p.count); i += THREADS) {
    let logit = drawable(logits[p.logits_at + i]);
    let key = ordered(logit);
    if (logit <= NO_MAX || key < now.bound || (key & known) != now.prefix) {
      continue;
    }
    let bin = (key >> p.shift) & 255u;
    atomicAdd(&counts[bin], 1u);
    atomicAdd(&masses[bin], u32(decay((logit - now.maximum) / p.temperature) / now.tempered * 0x1p30f + 0.5));
  }
  workgroupBarrier();
  if (atomicLoad(&counts[thread]) > 0u) {
    atomicAdd(&bins[thread], atomicLoad(&counts[thread]));
    atomicAdd(&bins[THREADS + thread], atomicLoad(&masses[thread]));
  }
}
