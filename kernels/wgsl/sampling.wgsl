// What the sample_*.wgsl share: logits as numbers that can be drawn, their order as integers, Gumbel numbers, and the best of
// many candidates. src/device/sampling.ts says what is computed.
//
// A draw goes through the logits in slices, a workgroup each (sample_scan), whose partial results one workgroup puts together
// (sample_pick). Where top-k or top-p is asked for, the bound on logits is found in between: by its upper 8 bits, then the
// next 8 and so on, each time counting what lies in every one of the 256 bins (sample_count, sample_cut).
#include "softmax.wgsl"

const THREADS = 256u;
const COUNT = 2u;
alias Numbers = array<u32, COUNT>;
#include "exchange.wgsl"

// Of a slice: the best candidate, and the largest logit with the sums of exponentials of the others less it, of logits as
// they are and of those divided by the temperature.
struct Partial {
  score: f32,
  id: u32,
  maximum: f32,
  sum: f32,
  tempered: f32,
}

// Where a draw stands. Bounds and prefixes are in `ordered` logits.
struct State {
  maximum: f32,
  tempered: f32,
  // Of the bound that is being looked for: the bits that are known, and how much is yet to be counted, from above.
  prefix: u32,
  target_left: u32,
  // What may be drawn is at least both: of top-k and top-p, and of min-p.
  bound: u32,
  min_bound: u32,
}

const NO_ID = 0xffffffffu;

// NO_MAX for NaN and -infinity.
fn drawable(logit: f32) -> f32 {
  let bits = bitcast<u32>(logit);
  if ((bits & 0x7fffffffu) >= 0x7f800000u && bits != 0x7f800000u) {
    return NO_MAX;
  }
  return clamp(logit, NO_MAX, 3e38);
}

// As an integer that is larger for larger numbers.
fn ordered(logit: f32) -> u32 {
  var bits = bitcast<u32>(logit);
  if (bits == 0x80000000u) {
    bits = 0u;
  }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// One output of the PCG family.
fn hash(value: u32) -> u32 {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

fn gumbel(stream: u32, id: u32) -> f32 {
  let bits = hash(stream ^ id);
  let v = (f32(bits) + 0.5) * 0x1p-32f;
  if (v < 1e-3) {
    return -log(v + v * v * 0.5);
  }
  return -log(-log((f32(~bits) + 0.5) * 0x1p-32f));
}

struct Candidate {
  score: f32,
  id: u32,
}

// Of one candidate per thread the best: the highest score, the lowest id of equals. All threads must call it, and what follows,
// and all have the result.
fn best_of(own: Candidate, thread: u32) -> Candidate {
  var best = own;
  for (var step = 1u; step < THREADS; step *= 2u) {
    let numbers = from_other(Numbers(bitcast<u32>(best.score), best.id), step, thread);
    let other = Candidate(bitcast<f32>(numbers[0]), numbers[1]);
    if (wins(other, best)) {
      best = other;
    }
  }
  return best;
}

fn max_of(own: f32, thread: u32) -> f32 {
  var maximum = own;
  for (var step = 1u; step < THREADS; step *= 2u) {
    maximum = max(maximum, bitcast<f32>(from_other(Numbers(bitcast<u32>(maximum), 0u), step, thread)[0]));
  }
  return maximum;
}

fn sums_of(own: vec2<f32>, thread: u32) -> vec2<f32> {
  var sums = own;
  for (var step = 1u; step < THREADS; step *= 2u) {
    let other = from_other(Numbers(bitcast<u32>(sums.x), bitcast<u32>(sums.y)), step, thread);
    sums += vec2(bitcast<f32>(other[0]), bitcast<f32>(other[1]));
  }
  return sums;
}

fn wins(a: Candidate, b: Candidate) -> bool {
  return a.id != NO_ID && (b.id == NO_ID || a.score > b.score || (a.score == b.score && a.id < b.id));
}
