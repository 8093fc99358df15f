// out = x/2 (1 + erf(x / sqrt 2))
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// x/2 erfc(-x / sqrt 2). With z = |x| / sqrt 2 and t = 1 / (1 + z/2), erfc(z) = e^(-z^2) t q(t); q is a polynomial fitted to
// e^(z^2) erfc(z) / t for z from 0 to 10 (relative error 2e-8), so that small results keep their precision.
LODESTONE_INLINE F gelu_erf(F x) {
  const F half = set(0.5f), square = x * x * half;
  const F z = max(x, zero() - x) * set(0.7071067812f);
  const F t = set(1.0f) / fma(half, z, set(1.0f));
  F q = set(0.012285564f);
  q = fma(q, t, set(-0.12326308f));
  q = fma(q, t, set(0.42894629f));
  q = fma(q, t, set(-0.67004383f));
  q = fma(q, t, set(0.42128995f));
  q = fma(q, t, set(-0.098324962f));
  q = fma(q, t, set(0.22554402f));
  q = fma(q, t, set(0.23864445f));
  q = fma(q, t, set(0.28285706f));
  q = fma(q, t, set(0.2820645f));
  const F tail = half * x * (exp(zero() - square) * t * q);
  return select(less(x, zero()), tail, x - tail);
}

static void gelu_erf(const Gelu& c, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) store(c.out + i, gelu_erf(load(c.x + i)));
  if (i < end) {
    const int n = int(end - i);
    store_part(c.out + i, gelu_erf(load_part(c.x + i, n)), n);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
