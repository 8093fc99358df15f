// out[r] = the taps rows of x from r * stride - pad on, zeros outside
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

static void unfold(const Unfold& c, int64_t row_begin, int64_t row_end) {
  const size_t bytes = size_t(c.width) * sizeof(float);
  float* out = c.out + row_begin * c.taps * c.width;
  for (int64_t r = row_begin; r < row_end; r++) {
    const int64_t first = r * c.stride - c.pad;
    for (int64_t at = first; at < first + c.taps; at++, out += c.width) {
      if (at < 0 || at >= c.length) memset(out, 0, bytes);
      else memcpy(out, c.x + at * c.width, bytes);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
