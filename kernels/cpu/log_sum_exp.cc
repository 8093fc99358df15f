// The largest of many numbers, and ln of the sum of their exponentials.
#include "kernels.h"
#include "simd.h"

#include <math.h>

namespace lodestone {
namespace LODESTONE_ISA {

// NaN never wins; -infinity where there is nothing else.
static float largest(const float* x, int64_t count) {
  const float none = -__builtin_inff();
  F most = set(none);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const F value = load(x + i);
    most = select(less(most, value), value, most);
  }
  alignas(64) float values[lanes];
  store(values, most);
  float result = none;
  for (float value : values) result = value > result ? value : result;
  for (; i < count; i++) result = x[i] > result ? x[i] : result;
  return result;
}

static double log_sum_exp(const float* x, int64_t count, float max) {
  double total = 0;
  // In float inside a block, in double between blocks.
  constexpr int64_t block = 1024;
  for (int64_t begin = 0; begin < count; begin += block) {
    const int64_t end = begin + block < count ? begin + block : count;
    F acc = zero();
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) acc = acc + exp(load(x + i) - set(max));
    total += sum(acc);
    for (; i < end; i++) total += ::exp(double(x[i]) - max);
  }
  return max + ::log(total);
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
