// Rows of activations as int8 with a scale for each block of 32, for products with quantised weights.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// A block of 32 floats as int8 times a scale (device.ts, MatMulCommand). The scale is NaN where an x is NaN or infinite.
struct BlockScale {
  float d;
  int32_t total, halves[2];  // sums of the int8 values: all, the first 16, the last 16; 0 where d is NaN
};
LODESTONE_INLINE BlockScale quantise_block(const float* x, int8_t* out) {
  constexpr int parts = int(quant_block) / lanes;
  F v[parts];
  F largest = zero();
  for (int i = 0; i < parts; i++) {
    v[i] = load(x + i * lanes);
    largest = max(largest, abs(v[i]));
  }
  const float d = max_of(largest) / 127.0f;
  // |x / d| may round to just above 127 only if d is subnormal; such a block counts as zero.
  const bool empty = d < 1.17549435e-38f;
  const F divisor = set(empty ? 1.0f : d);
  F totals[2] = {zero(), zero()};
  for (int i = 0; i < parts; i++) {
    const F q = round_even(empty ? v[i] * zero() : v[i] / divisor);
    F& half = totals[i / (parts / 2)];
    half = half + q;  // exact: small integers; NaN where an x is NaN or infinite, whatever max() made of it
    store_int8(out + i * lanes, q);
  }
  const float first = sum(totals[0]), last = sum(totals[1]), all = first + last;
  if (all != all) return {all, 0, {0, 0}};
  return {empty ? 0.0f : d, int32_t(all), {int32_t(first), int32_t(last)}};
}

static void quantise_rows(const float* x, int64_t x_stride, const Activations& a, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* row = x + r * x_stride;
    const int64_t tile = r / activation_tile, in_tile = r % activation_tile;
    for (int64_t b = 0; b < a.blocks; b++) {
      const int64_t at = (tile * a.blocks + b) * a.tile_rows + in_tile;
      const BlockScale scale = quantise_block(row + b * quant_block, a.values + at * quant_block);
      a.scales[at] = scale.d;
      a.minus_8_sums[at] = -8 * scale.total;
      for (int half = 0; half < 2; half++) a.minus_16_halves[2 * at + half] = int16_t(-16 * scale.halves[half]);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
