// Sum of one number per thread of a workgroup of 256, the same in all threads afterwards, and always in the same order:
// a row's result does not depend on what else is computed. All threads must call it.
const THREADS = 256u;
var<workgroup> sums: array<f32, THREADS>;

fn row_sum(value: f32, thread: u32) -> f32 {
  sums[thread] = value;
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
  }
  workgroupBarrier();
  let sum = sums[0];
  // Before the next call overwrites it.
  workgroupBarrier();
  return sum;
}
