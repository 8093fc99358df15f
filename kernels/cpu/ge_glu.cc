// out = gelu_tanh(gate) * up; out = gelu_tanh(x)
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// gelu_tanh(z) = z/2 (1 + tanh u) = z / (1 + e^-2u) with u = sqrt(2/pi) (z + 0.044715 z^3). The second form needs no
// tanh, keeps its relative precision where 1 + tanh u would cancel, and has no NaN: e^-2u is 0 or infinity at the ends.
LODESTONE_INLINE F gelu_tanh(F z) {
  const F inner = fma(z * z, z * set(0.044715f), z);
  return z / (set(1.0f) + exp(inner * set(-2.0f * 0.7978845608f)));
}

static void ge_glu(const GeGlu& c, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) store(c.out + i, gelu_tanh(load(c.gate + i)) * load(c.up + i));
  if (i < end) {
    const int n = int(end - i);
    store_part(c.out + i, gelu_tanh(load_part(c.gate + i, n)) * load_part(c.up + i, n), n);
  }
}

static void gelu(const Gelu& c, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) store(c.out + i, gelu_tanh(load(c.x + i)));
  if (i < end) {
    const int n = int(end - i);
    store_part(c.out + i, gelu_tanh(load_part(c.x + i, n)), n);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
