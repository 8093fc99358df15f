// out[r] = (x[r] - mean) * (variance + eps)^-1/2 * gain + bias
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

static float mean_of(const float* x, int64_t width) {
  F a = zero(), b = zero();
  int64_t i = 0;
  for (; i + 2 * lanes <= width; i += 2 * lanes) {
    a = a + load(x + i);
    b = b + load(x + i + lanes);
  }
  for (; i < width; i += lanes) a = a + (i + lanes <= width ? load(x + i) : load_part(x + i, int(width - i)));
  return sum(a + b) / float(width);
}

// Sums of the differences from `mean` and of their squares. E[x^2] - mean^2 would cancel where the mean is large; and the
// mean as a float is off by its rounding, which the sum of differences tells.
struct Differences {
  float sum, squares;
};
static Differences differences(const float* x, float mean, int64_t width) {
  F a = zero(), b = zero();
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const F d = load(x + i) - set(mean);
    a = a + d;
    b = fma(d, d, b);
  }
  Differences out{sum(a), sum(b)};
  for (; i < width; i++) {
    const float d = x[i] - mean;
    out.sum += d;
    out.squares += d * d;
  }
  return out;
}

static void layer_norm(const LayerNorm& c, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* x = c.x + r * c.width;
    float* out = c.out + r * c.width;
    const float mean = mean_of(x, c.width);
    const Differences d = differences(x, mean, c.width);
    const float rest = d.sum / float(c.width), variance = d.squares / float(c.width) - rest * rest;
    const F shift = set(mean), more = set(rest), factor = set(1.0f / __builtin_sqrtf(variance + c.eps));
    int64_t i = 0;
    for (; i + lanes <= c.width; i += lanes) store(out + i, fma((load(x + i) - shift - more) * factor, load(c.gain + i), load(c.bias + i)));
    if (i < c.width) {
      const int n = int(c.width - i);
      store_part(out + i, fma((load_part(x + i, n) - shift - more) * factor, load_part(c.gain + i, n), load_part(c.bias + i, n)), n);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
