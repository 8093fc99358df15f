// out[r] = W x[r] with weights in blocks: rows are quantised to int8 per block of 32 (quantise_rows.cc), a block's products
// are summed as integers, and the blocks are added in f32 in their order. The order is the same in every tile shape.
//
// Weights are read where they lie, in a mapped file as a rule. Of many rows, span after span of a panel's inputs is brought
// into lanes, in scratch that stays in the first-level cache, and meets all rows there; up to four meet them in registers.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

constexpr int64_t span_blocks = quant_span / quant_block;

// The first row of a register tile, at the first block of a span. Neighbouring rows follow, blocks are tile_rows apart.
struct TileRows {
  const int8_t* values;
  const float* scales;
  const int32_t* minus_8_sums;
  const int16_t* minus_16_halves;
  int64_t tile_rows;
};

// The integer sums of one block: R rows, and int8_vectors vectors of outputs whose first is `part` of the panel.
template <class Q, int R>
LODESTONE_INLINE void block_sums(const TileRows& a, int64_t at, const LaneBlocks& w, int64_t block, int part, I (&sums)[R][int8_vectors]) {
  const uint8_t* quants = w.quants + block * lane_block_bytes + part * 4;
  const auto weights = [&](int g, int v) __attribute__((always_inline)) { return load_bytes(quants + g * group_bytes + v * lanes * 4); };
  const auto activations = [&](int r, int g) __attribute__((always_inline)) { return broadcast4(a.values + (at + r) * quant_block + 4 * g); };
  if constexpr (Q::sum == Sum::halves) {
    for (int r = 0; r < R; r++) {
      for (int v = 0; v < int8_vectors; v++) sums[r][v] = set_int(0);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      I inner[int8_vectors];
      for (int v = 0; v < int8_vectors; v++) inner[v] = as_int(load_bytes(w.inner + (2 * block + half) * panel_outputs + part + v * lanes));
      for (int r = 0; r < R; r++) {
        // -32 times the sum of the activations, in two parts of -16.
        const P zero_part = twice(a.minus_16_halves[2 * (at + r) + half]);
        for (int v = 0; v < int8_vectors; v++) sums[r][v] = add_scaled(sums[r][v], zero_part, inner[v]);
      }
#pragma GCC unroll 2
      for (int from = 4 * half; from < 4 * half + 4; from += Q::steps) {
        P products[R][int8_vectors];
        for (int r = 0; r < R; r++) {
          for (int v = 0; v < int8_vectors; v++) products[r][v] = no_products();
        }
#pragma GCC unroll 2
        for (int g = from; g < from + Q::steps; g++) {
          for (int v = 0; v < int8_vectors; v++) {
            const B weight = weights(g, v);
#pragma GCC unroll 8
            for (int r = 0; r < R; r++) products[r][v] = add_products(products[r][v], weight, activations(r, g));
          }
        }
        for (int r = 0; r < R; r++) {
          for (int v = 0; v < int8_vectors; v++) sums[r][v] = add_scaled(sums[r][v], products[r][v], inner[v]);
        }
      }
    }
    return;
  }
  for (int r = 0; r < R; r++) {
    const I start = Q::zero ? set_int(Q::zero / 8 * a.minus_8_sums[at + r]) : set_int(0);
    for (int v = 0; v < int8_vectors; v++) sums[r][v] = start;
  }
  if constexpr (Q::sum == Sum::whole) {
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++) {
      for (int v = 0; v < int8_vectors; v++) {
        const B weight = weights(g, v);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sums[r][v] = dot(sums[r][v], weight, activations(r, g));
      }
    }
  } else {
#pragma GCC unroll 2
    for (int from = 0; from < 8; from += Q::steps) {
      P products[R][int8_vectors];
      for (int r = 0; r < R; r++) {
        for (int v = 0; v < int8_vectors; v++) products[r][v] = no_products();
      }
#pragma GCC unroll 8
      for (int g = from; g < from + Q::steps; g++) {
        for (int v = 0; v < int8_vectors; v++) {
          const B weight = weights(g, v);
#pragma GCC unroll 8
          for (int r = 0; r < R; r++) products[r][v] = add_products(products[r][v], weight, activations(r, g));
        }
      }
      for (int r = 0; r < R; r++) {
        for (int v = 0; v < int8_vectors; v++) sums[r][v] = add_up(sums[r][v], products[r][v]);
      }
    }
  }
}

// The same of one row, with one vector of outputs in registers.
template <class Q>
LODESTONE_INLINE I block_sum(const Activations& x, int64_t at, const LaneBlock& w) {
  const int8_t* values = x.values + at * quant_block;
  if constexpr (Q::sum == Sum::halves) {
    I sum = set_int(0);
    for (int half = 0; half < 2; half++) {
      sum = add_scaled(sum, twice(x.minus_16_halves[2 * at + half]), w.inner[half]);
      for (int from = 4 * half; from < 4 * half + 4; from += Q::steps) {
        P products = no_products();
        for (int g = from; g < from + Q::steps; g++) products = add_products(products, w.quants[g], broadcast4(values + 4 * g));
        sum = add_scaled(sum, products, w.inner[half]);
      }
    }
    return sum;
  }
  I sum = Q::zero ? set_int(Q::zero / 8 * x.minus_8_sums[at]) : set_int(0);
  if constexpr (Q::sum == Sum::whole) {
    for (int g = 0; g < 8; g++) sum = dot(sum, w.quants[g], broadcast4(values + 4 * g));
  } else {
    for (int from = 0; from < 8; from += Q::steps) {
      P products = no_products();
      for (int g = from; g < from + Q::steps; g++) products = add_products(products, w.quants[g], broadcast4(values + 4 * g));
      sum = add_up(sum, products);
    }
  }
  return sum;
}

// Adds a span of blocks to R rows of out (or begins them, where it is the first). `valid`: outputs that there are.
template <class Q, int R>
static void quant_tile(const TileRows& a, const LaneBlocks& w, int64_t blocks, int part, float* out, int64_t out_stride, bool first, int64_t valid) {
  F acc[R][int8_vectors];
  for (int r = 0; r < R; r++) {
    for (int v = 0; v < int8_vectors; v++) {
      const float* at = out + r * out_stride + v * lanes;
      const int64_t n = valid - v * lanes;
      acc[r][v] = first || n <= 0 ? zero() : n >= lanes ? load(at) : load_part(at, int(n));
    }
  }
  for (int64_t b = 0; b < blocks; b++) {
    const int64_t at = b * a.tile_rows;
    I sums[R][int8_vectors];
    block_sums<Q, R>(a, at, w, b, part, sums);
    for (int v = 0; v < int8_vectors; v++) {
      const F scale = load(w.scales + b * panel_outputs + part + v * lanes);
      for (int r = 0; r < R; r++) acc[r][v] = fma(to_float(sums[r][v]), scale * set(a.scales[at + r]), acc[r][v]);
    }
    if constexpr (Q::has_min) {
      for (int v = 0; v < int8_vectors; v++) {
        const F eighth = load(w.eighths + b * panel_outputs + part + v * lanes);
        for (int r = 0; r < R; r++) acc[r][v] = fma(to_float(set_int(a.minus_8_sums[at + r])), eighth * set(a.scales[at + r]), acc[r][v]);
      }
    }
  }
  for (int r = 0; r < R; r++) {
    for (int v = 0; v < int8_vectors; v++) {
      float* at = out + r * out_stride + v * lanes;
      const int64_t n = valid - v * lanes;
      if (n >= lanes) store(at, acc[r][v]);
      else if (n > 0) store_part(at, acc[r][v], int(n));
    }
  }
}

// A span of a panel, in lanes, with all rows.
template <class Q>
static void span_rows(const QuantProduct& p, int64_t row_begin, int64_t row_end, const LaneBlocks& w, int64_t first, int64_t blocks, int64_t output) {
  const Activations& x = *p.x;
  for (int part = 0; part < int(panel_outputs); part += int8_vectors * lanes) {
    const int64_t valid = p.weights.outputs - output - part;
    if (valid <= 0) return;
    for (int64_t r = row_begin; r < row_end;) {
      const int64_t tile = r / activation_tile, in_tile = r % activation_tile;
      const int64_t left = row_end - r < activation_tile - in_tile ? row_end - r : activation_tile - in_tile;
      const int64_t at = (tile * x.blocks + first) * x.tile_rows + in_tile;
      const TileRows rows{x.values + at * quant_block, x.scales + at, x.minus_8_sums + at, x.minus_16_halves + 2 * at, x.tile_rows};
      float* out = p.out + r * p.out_stride + output + part;
      const auto run = [&](auto tile_of) { tile_of(rows, w, blocks, part, out, p.out_stride, first == 0, valid); };
      if (int8_rows >= 8 && left >= 8) run(quant_tile<Q, 8>), r += 8;
      else if (left >= 4) run(quant_tile<Q, 4>), r += 4;
      else if (left >= 2) run(quant_tile<Q, 2>), r += 2;
      else run(quant_tile<Q, 1>), r += 1;
    }
  }
}

// A few rows: memory's speed is what counts. Blocks go from the file through registers, where they meet every row, and the
// next panel is asked for line after line in between. The additions are those of quant_tile, in its order.
// `count`: rows, at most `most`, of one tile of activations; `most` 1: known when this is compiled.
template <class Q, int most>
static void quant_few_rows(const QuantProduct& p, int64_t row, int count, int64_t panel_begin, int64_t panel_end) {
  if (most == 1) count = 1;
  constexpr int vectors = int(panel_outputs) / lanes;
  const Weights& weights = p.weights;
  const Activations& x = *p.x;
  const int64_t row_bytes = bytes_per_row(weights.format, weights.inputs), last = weights.outputs - 1;
  const int64_t tile = row / activation_tile * x.blocks * x.tile_rows + row % activation_tile;
  for (int64_t panel = panel_begin; panel < panel_end; panel++) {
    const int64_t output = panel * panel_outputs;
    const uint8_t* rows[panel_outputs];
    for (int i = 0; i < int(panel_outputs); i++) rows[i] = weights.data + (output + i < last ? output + i : last) * row_bytes;
    const uint8_t* next = weights.data + (output + panel_outputs) * row_bytes;
    [[maybe_unused]] const uint8_t* asked = next;
    F acc[vectors][most];
    for (auto& of : acc) for (F& a : of) a = zero();
    for (int64_t first = 0; first < x.blocks; first += Q::blocks) {
#pragma GCC unroll 4
      for (int v = 0; v < vectors; v++) {
        Q::each(rows + v * lanes, first / Q::blocks * Q::bytes, [&](int index, const LaneBlock& block) __attribute__((always_inline)) {
          constexpr int64_t share = (lanes * Q::bytes + Q::blocks - 1) / Q::blocks;
          if constexpr (Q::blocks == 1) {  // a few lines twice, but no branch to guess
            for (int64_t i = 0; i < share; i += 64) prefetch(next + i);
            next += share;
          } else {
            for (next += share; asked < next; asked += 64) prefetch(asked);
          }
          const int64_t at = tile + (first + index) * x.tile_rows;
#pragma GCC unroll 1
          for (int r = 0; r < count; r++) {
            const F scale = set(x.scales[at + r]);
            acc[v][r] = fma(to_float(block_sum<Q>(x, at + r, block)), block.scale * scale, acc[v][r]);
            if constexpr (Q::has_min) acc[v][r] = fma(to_float(set_int(x.minus_8_sums[at + r])), block.min * set(0.125f) * scale, acc[v][r]);
          }
        });
      }
    }
    for (int r = 0; r < count; r++) {
      for (int v = 0; v < vectors; v++) {
        const int64_t n = weights.outputs - output - v * lanes;
        float* out = p.out + (row + r) * p.out_stride + output + v * lanes;
        if (n >= lanes) store(out, acc[v][r]);
        else if (n > 0) store_part(out, acc[v][r], int(n));
      }
    }
  }
}

template <class Q>
static void quant(const QuantProduct& p, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end, float* scratch) {
  const int count = int(row_end - row_begin);
  if (count == 1) return quant_few_rows<Q, 1>(p, row_begin, 1, panel_begin, panel_end);
  if (count <= 4 && row_begin % activation_tile + count <= activation_tile) return quant_few_rows<Q, 4>(p, row_begin, count, panel_begin, panel_end);
  const Weights& weights = p.weights;
  const int64_t blocks = weights.inputs / quant_block, row_bytes = bytes_per_row(weights.format, weights.inputs);
  const LaneBlocks w{(uint8_t*)scratch, scratch + span_blocks * lane_block_bytes / 4, scratch + span_blocks * (lane_block_bytes / 4 + panel_outputs),
                     (int32_t*)(scratch + span_blocks * (lane_block_bytes / 4 + 2 * panel_outputs))};
  // Few rows are bound by memory, and read it in its order. Of many, the activations of a span stay in the second-level
  // cache while the panels pass.
  const bool few = count <= 8;
  const int64_t stride = few ? blocks : span_blocks;
  // Shorter for few rows, so that asking memory for what comes next and computing take turns; a K format's block is 8.
  const int64_t step = few ? 8 : span_blocks;
  for (int64_t from = 0; from < blocks; from += stride) {
    for (int64_t panel = panel_begin; panel < panel_end; panel++) {
      const int64_t output = panel * panel_outputs, last = weights.outputs - 1;
      const uint8_t* rows[panel_outputs];
      for (int i = 0; i < int(panel_outputs); i++) rows[i] = weights.data + (output + i < last ? output + i : last) * row_bytes;
      const int64_t end = from + stride < blocks ? from + stride : blocks;
      for (int64_t b = from; b < end; b += step) {
        const int64_t count = end - b < step ? end - b : step;
        if (few) {  // the next panel, the same share of it
          const uint8_t* next = weights.data + (output + panel_outputs) * row_bytes;
          const int64_t bytes = panel_outputs * row_bytes;
          for (int64_t line = bytes * b / blocks / 64 * 64; line < bytes * (b + count) / blocks; line += 64) prefetch(next + line);
        }
        for (int part = 0; part < int(panel_outputs); part += lanes) bring<Q>(rows, part, b, count, w);
        span_rows<Q>(p, row_begin, row_end, w, b, count, output);
      }
    }
  }
}

static void quant_product(const QuantProduct& p, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end, float* scratch) {
  const auto run = [&](auto product) { product(p, row_begin, row_end, panel_begin, panel_end, scratch); };
  switch (p.weights.format) {
    case Format::q8_0: return run(quant<LanesQ8>);
    case Format::q4_0: return run(quant<LanesSmall<false, false>>);
    case Format::q4_1: return run(quant<LanesSmall<true, false>>);
    case Format::q5_0: return run(quant<LanesSmall<false, true>>);
    case Format::q5_1: return run(quant<LanesSmall<true, true>>);
    case Format::q4_k: return run(quant<LanesK45<false>>);
    case Format::q5_k: return run(quant<LanesK45<true>>);
    case Format::q6_k: return run(quant<LanesQ6K>);
    default: return;
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
