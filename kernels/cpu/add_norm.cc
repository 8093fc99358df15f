// x[r] += rmsNorm(branch[r]; gain); next_out[r] = rmsNorm(x[r]; next_gain)
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

static void add_norm(const AddNorm& c, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) {
    float* x = c.x + r * c.width;
    const float* branch = c.branch + r * c.width;
    const F factor = set(inverse_rms(branch, c.width, c.eps));
    int64_t i = 0;
    for (; i + lanes <= c.width; i += lanes) store(x + i, load(x + i) + load(branch + i) * factor * load(c.gain + i));
    if (i < c.width) {
      const int n = int(c.width - i);
      store_part(x + i, load_part(x + i, n) + load_part(branch + i, n) * factor * load_part(c.gain + i, n), n);
    }
    if (c.next_gain) norm_row(x, c.next_gain, c.next_out + r * c.width, c.width, c.eps);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
