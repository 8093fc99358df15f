// The mean of each square of size x size cells
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

static void average_pool(const AveragePool& c, int64_t cell_begin, int64_t cell_end) {
  const int64_t smaller = c.side / c.size;
  const F cells = set(float(c.size * c.size));
  for (int64_t cell = cell_begin; cell < cell_end; cell++) {
    const int64_t top = cell / smaller * c.size, left = cell % smaller * c.size;
    for (int64_t i = 0; i < c.width; i += lanes) {
      const int n = c.width - i < lanes ? int(c.width - i) : lanes;
      F total = zero();
      for (int64_t row = top; row < top + c.size; row++) {
        for (int64_t column = left; column < left + c.size; column++) {
          const float* x = c.x + (row * c.side + column) * c.width + i;
          total = total + (n == lanes ? load(x) : load_part(x, n));
        }
      }
      float* out = c.out + cell * c.width + i;
      if (n == lanes) store(out, total / cells);
      else store_part(out, total / cells, n);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
