// out[r] = W x[r]
//
// Dense weights (f32, f16, bf16): each (row, output) is one vector of partial sums along the inputs, added up at the
// end. Quantised weights: rows are quantised to int8 per block of 32, a block's products are summed as integers, and
// the blocks are added in f32 in their order. Either way the order is the same in every tile shape.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// ------------------------------------------------------------------------------------------------- dense weights

// Inputs that are walked in one go when there are many rows: a few rows' worth stays in the first-level cache.
constexpr int64_t dense_span = 1024, dense_longest = dense_span + dense_span / 2;
// Keeps copied rows from falling into the same few sets of the cache.
constexpr int64_t dense_padding = 16;

// The inputs `begin` to `end` of R rows times C outputs. `sums` holds the R * C vectors of partial sums between spans:
// they are read if begin > 0, and written if end < inputs, so cutting the inputs changes no bit.
template <int R, int C, class T>
static void dense_tile(const float* x, int64_t x_stride, const T* w, int64_t w_stride, int64_t begin, int64_t end, int64_t inputs,
                       float* sums, float* out, int64_t out_stride) {
  F acc[R][C];
  for (int r = 0; r < R; r++) {
    for (int c = 0; c < C; c++) acc[r][c] = begin > 0 ? load(sums + (r * C + c) * lanes) : zero();
  }
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    F weight[C];
    for (int c = 0; c < C; c++) weight[c] = load_as_float(w + c * w_stride + i - begin);
    for (int r = 0; r < R; r++) {
      const F value = load(x + r * x_stride + i);
      for (int c = 0; c < C; c++) acc[r][c] = fma(value, weight[c], acc[r][c]);
    }
  }
  if (i < end) {
    const int n = int(end - i);
    for (int c = 0; c < C; c++) {
      const F weight = load_part_as_float(w + c * w_stride + i - begin, n);
      for (int r = 0; r < R; r++) acc[r][c] = fma(load_part(x + r * x_stride + i, n), weight, acc[r][c]);
    }
  }
  if (end < inputs) {
    for (int r = 0; r < R; r++) {
      for (int c = 0; c < C; c++) store(sums + (r * C + c) * lanes, acc[r][c]);
    }
    return;
  }
  float results[R * C];
  sum_each<R * C>(&acc[0][0], results);
  for (int r = 0; r < R; r++) memcpy(out + r * out_stride, results + r * C, C * sizeof(float));
}

// `w` points at input `begin` of the first of C outputs.
template <int C, class T>
static void dense_rows_of(const DenseProduct& p, int64_t row_begin, int64_t row_end, const T* w, int64_t w_stride, int64_t begin,
                          int64_t end, float* sums, int64_t output) {
  int64_t r = row_begin;
  auto run = [&](auto tile) {
    tile(p.x + r * p.x_stride, p.x_stride, w, w_stride, begin, end, p.weights.inputs, sums + (r - row_begin) * C * lanes,
         p.out + r * p.out_stride + output, p.out_stride);
  };
  for (; r + dense_rows <= row_end; r += dense_rows) run(dense_tile<dense_rows, C, T>);
  for (; r < row_end; r++) run(dense_tile<1, C, T>);
}

static size_t dense_scratch(int64_t rows) { return size_t(dense_outputs) * size_t(dense_longest + dense_padding + rows * lanes); }

template <class T>
static void dense(const DenseProduct& p, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end, float* scratch) {
  const int64_t inputs = p.weights.inputs;
  const T* w = (const T*)p.weights.data;
  const bool many = row_end - row_begin > 2 * dense_rows;
  const int64_t span = many && inputs > dense_longest ? dense_span : inputs;
  // With many rows the weights are widened once, into scratch that stays in the first-level cache.
  float* widened = scratch;
  float* sums = scratch + dense_outputs * (dense_longest + dense_padding);
  int64_t o = out_begin;
  for (; o + dense_outputs <= out_end; o += dense_outputs) {
    for (int64_t begin = 0; begin < inputs; begin += span) {
      const int64_t end = begin + span < inputs ? begin + span : inputs, n = end - begin;
      const T* from = w + o * inputs + begin;
      if (!many) {
        dense_rows_of<dense_outputs, T>(p, row_begin, row_end, from, inputs, begin, end, sums, o);
        continue;
      }
      const int64_t stride = n + dense_padding;
      for (int c = 0; c < dense_outputs; c++) {
        int64_t i = 0;
        for (; i + lanes <= n; i += lanes) store(widened + c * stride + i, load_as_float(from + c * inputs + i));
        if (i < n) store_part(widened + c * stride + i, load_part_as_float(from + c * inputs + i, int(n - i)), int(n - i));
      }
      dense_rows_of<dense_outputs, float>(p, row_begin, row_end, widened, stride, begin, end, sums, o);
    }
  }
  for (; o < out_end; o++) dense_rows_of<1, T>(p, row_begin, row_end, w + o * inputs, inputs, 0, inputs, sums, o);
}

static void dense_product(const DenseProduct& p, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end, float* scratch) {
  switch (p.weights.format) {
    case Format::f32: return dense<float>(p, row_begin, row_end, out_begin, out_end, scratch);
    case Format::f16: return dense<F16>(p, row_begin, row_end, out_begin, out_end, scratch);
    case Format::bf16: return dense<Bf16>(p, row_begin, row_end, out_begin, out_end, scratch);
    default: return;
  }
}

// --------------------------------------------------------------------------------------------- quantised weights

// A block of 32 floats as int8 times a scale (device.ts, MatMulCommand). The scale is NaN where an x is NaN or infinite.
struct BlockScale {
  float d, total;  // total: the sum of the int8 values, or NaN
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
  F total = zero();
  for (int i = 0; i < parts; i++) {
    const F q = round_even(empty ? v[i] * zero() : v[i] / divisor);
    total = total + q;  // exact: small integers; NaN where an x is NaN or infinite, whatever max() made of it
    store_int8(out + i * lanes, q);
  }
  const float added = sum(total);
  return {added != added ? added : empty ? 0.0f : d, added};
}

static void quantise_rows(const float* x, int64_t x_stride, const Activations& a, int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* row = x + r * x_stride;
    const int64_t tile = r / activation_tile, in_tile = r % activation_tile;
    for (int64_t b = 0; b < a.blocks; b++) {
      const int64_t at = (tile * a.blocks + b) * a.tile_rows + in_tile;
      const BlockScale scale = quantise_block(row + b * quant_block, a.values + at * quant_block);
      a.scales[at] = scale.d;
      a.minus_8_sums[at] = scale.total == scale.total ? -8 * int32_t(scale.total) : 0;
      a.minus_128_sums[at] = 16 * a.minus_8_sums[at];
    }
  }
}

struct Q8 {
  static constexpr int zero_point = q8_zero;
  static constexpr int64_t block_bytes = 512;
  LODESTONE_INLINE void unpack(const uint8_t* block, B (&w)[8]) {
    for (int g = 0; g < 8; g++) w[g] = load_bytes(block + g * 64);
  }
  LODESTONE_INLINE I multiply(I acc, B w, B a) { return dot(acc, w, a); }
};

struct Q4 {
  static constexpr int zero_point = 8;
  static constexpr int64_t block_bytes = 256;
  LODESTONE_INLINE void unpack(const uint8_t* block, B (&w)[8]) {
    for (int g = 0; g < 4; g++) {
      const B both = load_bytes(block + g * 64);
      w[g] = low_nibbles(both);
      w[g + 4] = high_nibbles(both);
    }
  }
  LODESTONE_INLINE I multiply(I acc, B w, B a) { return dot_nibbles(acc, w, a); }
};

LODESTONE_INLINE F load_scales(const uint8_t* p) { return load_f16((const uint16_t*)p); }

// R rows of one tile times `lanes` outputs of one panel (all 16 of them with AVX-512).
template <int R, class Q>
static void quant_tile(const int8_t* a, const float* a_scales, const int32_t* corrections, int64_t tile_rows, const uint8_t* panel,
                       const uint8_t* w_scales, int64_t blocks, float* out, int64_t out_stride, int valid) {
  F acc[R];
  for (int r = 0; r < R; r++) acc[r] = zero();
  for (int64_t b = 0; b < blocks; b++) {
    B w[8];
    Q::unpack(panel + b * Q::block_bytes, w);
    if (R == 1) {  // one row reads each weight once, from memory
      for (int64_t line = 0; line < Q::block_bytes; line += 64) prefetch(panel + b * Q::block_bytes + line + 4096);
    }
    const F w_scale = load_scales(w_scales + b * panel_outputs * 2);
    const int64_t at = b * tile_rows;
    for (int r = 0; r < R; r++) {
      const int8_t* row = a + (at + r) * quant_block;
      I i = set_int(Q::zero_point == 0 ? 0 : corrections[at + r]);
      for (int g = 0; g < 8; g++) i = Q::multiply(i, w[g], broadcast4(row + 4 * g));
      acc[r] = fma(to_float(i), w_scale * set(a_scales[at + r]), acc[r]);
    }
  }
  for (int r = 0; r < R; r++) {
    if (valid >= lanes) {
      store(out + r * out_stride, acc[r]);
    } else if (valid > 0) {
      store_part(out + r * out_stride, acc[r], valid);
    }
  }
}

template <class Q>
static void quant(const QuantProduct& p, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end) {
  const Activations& x = *p.x;
  const int64_t blocks = x.blocks;
  const int64_t stride = panel_bytes(p.weights.format, p.weights.inputs);
  for (int64_t panel = panel_begin; panel < panel_end; panel++) {
    for (int part = 0; part < int(panel_outputs); part += lanes) {
      const uint8_t* w = p.weights.data + panel * stride;
      const uint8_t* w_scales = w + blocks * Q::block_bytes + part * 2;
      const int64_t output = panel * panel_outputs + part;
      const int valid = p.weights.outputs - output >= lanes ? lanes : int(p.weights.outputs - output);
      for (int64_t r = row_begin; r < row_end;) {
        const int64_t tile = r / activation_tile, in_tile = r % activation_tile;
        const int64_t in_this_tile = activation_tile - in_tile;
        const int64_t left = row_end - r < in_this_tile ? row_end - r : in_this_tile;
        const int64_t at = tile * blocks * x.tile_rows + in_tile;
        const int8_t* a = x.values + at * quant_block;
        float* out = p.out + r * p.out_stride + output;
        const int32_t* corrections = (Q::zero_point == 8 ? x.minus_8_sums : x.minus_128_sums) + at;
        auto run = [&](auto tile_of) {
          tile_of(a, x.scales + at, corrections, x.tile_rows, w + part * 4, w_scales, blocks, out, p.out_stride, valid);
        };
        if (int8_row_tile >= 16 && left >= 16) run(quant_tile<16, Q>), r += 16;
        else if (int8_row_tile >= 8 && left >= 8) run(quant_tile<8, Q>), r += 8;
        else if (left >= 4) run(quant_tile<4, Q>), r += 4;
        else if (left >= 2) run(quant_tile<2, Q>), r += 2;
        else run(quant_tile<1, Q>), r += 1;
      }
    }
  }
}

static void quant_product(const QuantProduct& p, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end) {
  if (p.weights.format == Format::q8_0) quant<Q8>(p, row_begin, row_end, panel_begin, panel_end);
  else quant<Q4>(p, row_begin, row_end, panel_begin, panel_end);
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
