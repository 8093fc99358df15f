// out[r] = x[r] * (mean(x[r]^2) + eps)^-1/2 * gain
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// The factor (mean(x^2) + eps)^-1/2. Squares of 1e5 and more are far inside f32's range.
static float inverse_rms(const float* x, int64_t width, float eps) {
  F a = zero(), b = zero();
  int64_t i = 0;
  for (; i + 2 * lanes <= width; i += 2 * lanes) {
    const F u = load(x + i), v = load(x + i + lanes);
    a = fma(u, u, a);
    b = fma(v, v, b);
  }
  for (; i < width; i += lanes) {
    const F u = i + lanes <= width ? load(x + i) : load_part(x + i, int(width - i));
    a = fma(u, u, a);
  }
  return 1.0f / __builtin_sqrtf(sum(a + b) / float(width) + eps);
}

LODESTONE_INLINE void norm_row(const float* x, const float* gain, float* out, int64_t width, float eps) {
  const F factor = set(inverse_rms(x, width, eps));
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) store(out + i, load(x + i) * factor * load(gain + i));
  if (i < width) {
    const int n = int(width - i);
    store_part(out + i, load_part(x + i, n) * factor * load_part(gain + i, n), n);
  }
}

static void rms_norm(const RmsNorm& c, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) norm_row(c.x + r * c.width, c.gain, c.out + r * c.width, c.width, c.eps);
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
