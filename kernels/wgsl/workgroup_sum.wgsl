// Sum of one number per thread of a workgroup, the same in all threads afterwards, and always in the same order: a row's
// result does not depend on what else is computed. What includes it has THREADS, a power of two.
const COUNT = 1u;
alias Numbers = array<f32, COUNT>;
#include "exchange.wgsl"

// All threads must call it.
fn workgroup_sum(value: f32, thread: u32) -> f32 {
  var sum = value;
  for (var step = 1u; step < THREADS; step *= 2u) {
    sum += from_other(Numbers(sum), step, thread)[0];
  }
  return sum;
}
