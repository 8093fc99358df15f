// out[r] = W x[r] with weights in f32, f16 and bf16: each (row, output) is one vector of partial sums along the inputs,
// added up at the end. The order is the same in every tile shape.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

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

}  // namespace LODESTONE_ISA
}  // namespace lodestone
