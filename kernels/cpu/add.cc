// x += y, and the bias of a product
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

LODESTONE_INLINE void add_run(float* x, const float* y, int64_t count) {
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(x + i, load(x + i) + load(y + i));
  if (i < count) {
    const int n = int(count - i);
    store_part(x + i, load_part(x + i, n) + load_part(y + i, n), n);
  }
}

static void add(const Add& c, int64_t begin, int64_t end) { add_run(c.x + begin, c.y + begin, end - begin); }

static void add_bias(float* out, int64_t out_stride, const float* bias, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end) {
  for (int64_t r = row_begin; r < row_end; r++) add_run(out + r * out_stride + out_begin, bias + out_begin, out_end - out_begin);
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
