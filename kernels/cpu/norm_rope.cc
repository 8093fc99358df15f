// Each head: RMS norm over head_dim, then the rotation of element j with element j + head_dim / 2.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

LODESTONE_INLINE void norm_rope_head(const float* x, const float* gain, const float* rope, float* out, int64_t head_dim, float eps) {
  if (!rope) return norm_row(x, gain, out, head_dim, eps);
  const F factor = set(inverse_rms(x, head_dim, eps));
  const int64_t half = head_dim / 2;
  for (int64_t i = 0; i < half; i += lanes) {
    const int n = half - i < lanes ? int(half - i) : lanes;
    const bool whole = n == lanes;
    const F a = (whole ? load(x + i) : load_part(x + i, n)) * factor * (whole ? load(gain + i) : load_part(gain + i, n));
    const F b = (whole ? load(x + half + i) : load_part(x + half + i, n)) * factor *
                (whole ? load(gain + half + i) : load_part(gain + half + i, n));
    const F c = whole ? load(rope + i) : load_part(rope + i, n);
    const F s = whole ? load(rope + half + i) : load_part(rope + half + i, n);
    const F low = a * c - b * s, high = b * c + a * s;
    if (whole) {
      store(out + i, low);
      store(out + half + i, high);
    } else {
      store_part(out + i, low, n);
      store_part(out + half + i, high, n);
    }
  }
}

static void norm_rope(const NormRope& c, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* rope = c.rope ? c.rope + r * c.head_dim : nullptr;
    for (int64_t h = 0; h < c.heads; h++) {
      float* q = c.q + (r * c.heads + h) * c.head_dim;
      norm_rope_head(q, c.gain, rope, q, c.head_dim, c.eps);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
