// Causal attention, and both ways inside blocks of positions, over a ring or paged cache, softmax computed block by block (kernels.h: key_block, key_partition).
//
// A task handles a tile of rows and all query heads of one KV head, so that keys and values are loaded once for all of
// them. Of each block the keys are transposed into scratch, and values that are not stored as floats are widened into
// it; then logits and outputs are small matrix products:
//   S[query][key] = Q[query][.] K^T[.][key]       O[query][.] = O[query][.] * correction + P[query][key] V[key][.]
// Each logit is summed along head_dim in order, each output along the keys in order: the same for 1 query as for 100.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

constexpr float no_max = -3.0e38f;  // below any logit; finite, so that differences stay numbers

// The right-hand matrix of a product: rows in the cache (values in f32) or evenly spaced (transposed keys, widened values).
struct RowsInCache {
  const RowF32* rows;
  LODESTONE_INLINE_METHOD const float* row(int64_t k) const { return rows[k].at; }
};
struct EvenRows {
  const float* first;
  int64_t stride;
  LODESTONE_INLINE_METHOD const float* row(int64_t k) const { return first + k * stride; }
};

// out[R][C vectors] = (out * correction, or 0) + a[R][k_begin..k_end] * b[k][C vectors], from `column` on.
// Where not Whole, C is 1 and `part` says how many lanes there are.
template <int R, int C, bool Whole, class Right>
LODESTONE_INLINE void product_tile(const float* const* a, Right b, int64_t k_begin, int64_t k_end, float* const* out, int64_t column,
                                   const float* corrections, int part) {
  F acc[R][C];
  for (int r = 0; r < R; r++) {
    for (int c = 0; c < C; c++) {
      const float* at = out[r] + column + c * lanes;
      acc[r][c] = corrections ? (Whole ? load(at) : load_part(at, part)) * set(corrections[r]) : zero();
    }
  }
  for (int64_t k = k_begin; k < k_end; k++) {
    const float* right = b.row(k) + column;
    F row[C];
    for (int c = 0; c < C; c++) row[c] = Whole ? load(right + c * lanes) : load_part(right, part);
    for (int r = 0; r < R; r++) {
      const F value = set(a[r][k]);
      for (int c = 0; c < C; c++) acc[r][c] = fma(value, row[c], acc[r][c]);
    }
  }
  for (int r = 0; r < R; r++) {
    for (int c = 0; c < C; c++) {
      float* at = out[r] + column + c * lanes;
      if (Whole) store(at, acc[r][c]);
      else store_part(at, acc[r][c], part);
    }
  }
}

template <int R, class Right>
static void product_columns(const float* const* a, Right b, int64_t k_begin, int64_t k_end, float* const* out, int64_t columns,
                            const float* corrections) {
  // With few rows, more columns at a time: each sum is a chain of multiply-adds, and it takes eight chains to keep busy.
  constexpr int vectors = R <= 2 && gemm_vectors < 4 ? 4 : gemm_vectors;
  int64_t c = 0;
  for (; c + vectors * lanes <= columns; c += vectors * lanes) product_tile<R, vectors, true>(a, b, k_begin, k_end, out, c, corrections, 0);
  for (; c + lanes <= columns; c += lanes) product_tile<R, 1, true>(a, b, k_begin, k_end, out, c, corrections, 0);
  if (c < columns) product_tile<R, 1, false>(a, b, k_begin, k_end, out, c, corrections, int(columns - c));
}

// Any number of queries, in register tiles. Corrections null: out is overwritten.
template <class Right>
static void product(int64_t queries, const float* const* a, Right b, int64_t k_begin, int64_t k_end, float* const* out, int64_t columns,
                    const float* corrections) {
  for (int64_t q = 0; q < queries;) {
    const int64_t left = queries - q;
    const float* factors = corrections ? corrections + q : nullptr;
    if (left >= gemm_rows) product_columns<gemm_rows>(a + q, b, k_begin, k_end, out + q, columns, factors), q += gemm_rows;
    else if (left >= 4) product_columns<4>(a + q, b, k_begin, k_end, out + q, columns, factors), q += 4;
    else if (left >= 2) product_columns<2>(a + q, b, k_begin, k_end, out + q, columns, factors), q += 2;
    else product_columns<1>(a + q, b, k_begin, k_end, out + q, columns, factors), q += 1;
  }
}

// The scratch of one task, and the geometry that its blocks share.
struct Tile {
  int64_t rows, group, queries;  // queries = rows * group: query i is row i / group, head kv_head * group + i % group
  float* keys_transposed;        // [head_dim][key_block]
  float* values;                 // [key_block][head_dim]; null where the cache holds floats
  float* logits;                 // [queries][key_block], then the exponentials
  float* outputs;                // [queries][head_dim], of the current partition
  float* corrections;            // [queries]
  float* factors;                // [queries]: what turns q . k into the logit
  Partial* partials;             // [queries], of the current partition
  const float** query_rows;      // [queries] pointers into q
  float** logit_rows;
  float** output_rows;
};

static size_t aligned(size_t floats) { return (floats + 15) / 16 * 16; }

static size_t attention_scratch(const Attention& c, int64_t tile_rows) {
  const size_t group = size_t(c.heads / c.cache.kv_heads), queries = size_t(tile_rows) * group, dim = size_t(c.cache.head_dim);
  const size_t blocks = c.cache.format == KvFormat::f32 ? 1 : 2;
  return blocks * aligned(dim * size_t(key_block)) + aligned(queries * size_t(key_block)) + aligned(queries * dim) + 2 * aligned(queries) +
         5 * aligned(2 * queries);
}

static float* take(float*& scratch, size_t floats) {
  float* at = scratch;
  scratch += aligned(floats);
  return at;
}

static Tile make_tile(const Attention& c, int64_t kv_head, int64_t row_begin, int64_t row_end, float*& scratch) {
  Tile t;
  const int64_t dim = c.cache.head_dim;
  t.rows = row_end - row_begin;
  t.group = c.heads / c.cache.kv_heads;
  t.queries = t.rows * t.group;
  const size_t queries = size_t(t.queries);
  t.keys_transposed = take(scratch, size_t(dim * key_block));
  t.values = c.cache.format == KvFormat::f32 ? nullptr : take(scratch, size_t(dim * key_block));
  t.logits = take(scratch, queries * size_t(key_block));
  t.outputs = take(scratch, queries * size_t(dim));
  t.corrections = take(scratch, queries);
  t.factors = take(scratch, queries);
  t.partials = (Partial*)take(scratch, 2 * queries);
  t.query_rows = (const float**)take(scratch, 2 * queries);
  t.logit_rows = (float**)take(scratch, 2 * queries);
  t.output_rows = (float**)take(scratch, 2 * queries);
  for (int64_t i = 0; i < t.queries; i++) {
    const int64_t row = row_begin + i / t.group, head = kv_head * t.group + i % t.group;
    t.query_rows[i] = c.q + (row * c.heads + head) * dim;
    t.logit_rows[i] = t.logits + i * key_block;
    t.output_rows[i] = t.outputs + i * dim;
    const double position_factor = c.log_scale ? double(c.log_scale[head]) * __builtin_log(double(c.start + row + 1)) : 1.0;
    t.factors[i] = float(double(c.scale) * position_factor);
  }
  return t;
}

LODESTONE_INLINE int64_t first_visible(const Attention& c, int64_t position) {
  return c.window == 0 || position < c.window ? 0 : position - c.window + 1;
}

// The first query that sees a position, by its last key: the position's own, or the first of its block.
LODESTONE_INLINE int64_t first_that_sees(const Attention& c, int64_t position) {
  for (int64_t i = 0; i < c.block_count; i++) {
    if (position < c.blocks[i].from) break;
    if (position < c.blocks[i].to) return c.blocks[i].from;
  }
  return position;
}

// keys_transposed[d][key] = k[key][d] for the keys first .. last - 1 of a block (the others stay as they are).
template <class Row>
static void transpose_keys(const Row* rows, int64_t first, int64_t last, int64_t dim, float* to) {
  const int64_t begin = first / lanes * lanes;
  for (int64_t key = begin; key < last; key += lanes) {
    for (int64_t d = 0; d < dim; d += lanes) {
      const int columns = dim - d < lanes ? int(dim - d) : lanes;
      F m[lanes];
      for (int i = 0; i < lanes; i++) {
        const bool there = key + i >= first && key + i < last;
        m[i] = !there ? zero() : columns == lanes ? load_elements(rows[key + i], d) : load_elements_part(rows[key + i], d, columns);
      }
      transpose(m);
      for (int i = 0; i < columns; i++) store(to + (d + i) * key_block + key, m[i]);
    }
  }
}

// to[key][.] = the value's floats, for the keys first .. last - 1 of a block.
template <class Row>
static void widen_values(const Row* rows, int64_t first, int64_t last, int64_t dim, float* to) {
  for (int64_t key = first; key < last; key++) {
    int64_t d = 0;
    for (; d + lanes <= dim; d += lanes) store(to + key * dim + d, load_elements(rows[key], d));
    if (d < dim) store_part(to + key * dim + d, load_elements_part(rows[key], d, int(dim - d)), int(dim - d));
  }
}

LODESTONE_INLINE RowsInCache right_hand_values(const RowF32* rows, int64_t, int64_t, int64_t, float*) { return {rows}; }
template <class Row>
LODESTONE_INLINE EvenRows right_hand_values(const Row* rows, int64_t first, int64_t last, int64_t dim, float* scratch) {
  widen_values(rows, first, last, dim, scratch);
  return {scratch, dim};
}

// Softmax of one query over the block's visible keys first .. last - 1: logits become exponentials (0 where hidden),
// the running maximum and sum move on, and the correction of what was summed before is returned.
static float softmax_block(float* logits, float factor, int64_t first, int64_t last, Partial& partial) {
  constexpr int vectors = int(key_block) / lanes;
  const bool whole = first == 0 && last == key_block;
  const F from = set(float(first)), to = set(float(last)), hidden = set(no_max);
  F s[vectors];
  F top = hidden;
  for (int v = 0; v < vectors; v++) {
    s[v] = load(logits + v * lanes) * set(factor);
    if (!whole) {
      const F index = iota() + set(float(v * lanes));
      s[v] = select(less(index, from), hidden, select(less(index, to), s[v], hidden));
    }
    top = max(top, s[v]);
  }
  const float block_max = max_of(top);
  const float new_max = block_max > partial.max ? block_max : partial.max;
  F total = zero();
  for (int v = 0; v < vectors; v++) {
    F e = exp(s[v] - set(new_max));
    if (!whole) {
      const F index = iota() + set(float(v * lanes));
      e = select(less(index, from), zero(), select(less(index, to), e, zero()));
    }
    store(logits + v * lanes, e);
    total = total + e;
  }
  float correction[lanes];
  store(correction, exp(set(partial.max - new_max)));
  partial.max = new_max;
  partial.sum = partial.sum * correction[0] + sum(total);
  return correction[0];
}

// One partition of keys for all queries of the tile, from nothing: partials and output_rows are overwritten.
// Queries that see none of it are left with a sum of 0.
template <class Row>
static void run_partition_of(const Attention& c, Tile& t, int64_t kv_head, int64_t row_begin, int64_t partition) {
  const int64_t dim = c.cache.head_dim;
  const int64_t position = c.start + row_begin;
  const int64_t seen_begin = first_visible(c, position), seen_end = last_visible(c, position + t.rows - 1) + 1;
  for (int64_t i = 0; i < t.queries; i++) {
    t.partials[i].max = no_max;
    t.partials[i].sum = 0;
    memset(t.output_rows[i], 0, size_t(dim) * 4);
  }
  for (int64_t block = partition * key_partition; block < (partition + 1) * key_partition; block += key_block) {
    const int64_t first = seen_begin > block ? seen_begin - block : 0;
    const int64_t last = seen_end - block < key_block ? seen_end - block : key_block;
    if (first >= last) continue;
    Row key_rows[key_block], value_rows[key_block];
    find_rows(c.cache, c.cache.k_pages, kv_head, block + first, block + last, key_rows + first);
    find_rows(c.cache, c.cache.v_pages, kv_head, block + first, block + last, value_rows + first);
    transpose_keys(key_rows, first, last, dim, t.keys_transposed);
    // Rows that see nothing of this block lie at the tile's ends: the first are before it, the last past their window.
    const int64_t first_query = first_that_sees(c, block);
    const int64_t row_first = first_query > position ? first_query - position : 0;
    int64_t row_last = t.rows;
    if (c.window && block + key_block - 1 + c.window - position < row_last) row_last = block + key_block - 1 + c.window - position;
    const int64_t begin = row_first * t.group, queries = (row_last - row_first) * t.group;
    product(queries, t.query_rows + begin, EvenRows{t.keys_transposed, key_block}, 0, dim, t.logit_rows + begin, key_block, nullptr);
    for (int64_t i = begin; i < begin + queries; i++) {
      const int64_t p = position + i / t.group;
      const int64_t lowest = first_visible(c, p) - block, highest = last_visible(c, p) + 1 - block;
      t.corrections[i] = softmax_block(t.logit_rows[i], t.factors[i], lowest > 0 ? lowest : 0,
                                       highest < key_block ? highest : key_block, t.partials[i]);
    }
    product(queries, t.logit_rows + begin, right_hand_values(value_rows, first, last, dim, t.values), first, last, t.output_rows + begin, dim,
            t.corrections + begin);
  }
}

static void run_partition(const Attention& c, Tile& t, int64_t kv_head, int64_t row_begin, int64_t partition) {
  switch (c.cache.format) {
    case KvFormat::f32: return run_partition_of<RowF32>(c, t, kv_head, row_begin, partition);
    case KvFormat::f16: return run_partition_of<RowF16>(c, t, kv_head, row_begin, partition);
    case KvFormat::q8_0: return run_partition_of<RowQ8>(c, t, kv_head, row_begin, partition);
  }
}

LODESTONE_INLINE bool stopped(const Attention& c) { return c.cancelled && __atomic_load_n(c.cancelled, __ATOMIC_RELAXED); }

// Adds a partition's result to what earlier partitions gave.
static void merge(Partial& state, float* out, const Partial& partial, const float* output, int64_t dim) {
  if (partial.sum == 0) return;
  if (state.sum == 0) {
    state = partial;
    memcpy(out, output, size_t(dim) * 4);
    return;
  }
  const float top = state.max > partial.max ? state.max : partial.max;
  const F a = exp(set(state.max - top)), b = exp(set(partial.max - top));
  float factors[2][lanes];
  store(factors[0], a);
  store(factors[1], b);
  state.max = top;
  state.sum = state.sum * factors[0][0] + partial.sum * factors[1][0];
  int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) store(out + i, fma(load(out + i), a, load(output + i) * b));
  if (i < dim) {
    const int n = int(dim - i);
    store_part(out + i, fma(load_part(out + i, n), a, load_part(output + i, n) * b), n);
  }
}

static void divide(float* out, float by, int64_t dim) {
  int64_t i = 0;
  for (; i + lanes <= dim; i += lanes) store(out + i, load(out + i) / set(by));
  if (i < dim) store_part(out + i, load_part(out + i, int(dim - i)) / set(by), int(dim - i));
}

static void attention_tile(const Attention& c, int64_t kv_head, int64_t row_begin, int64_t row_end, float* scratch) {
  Tile t = make_tile(c, kv_head, row_begin, row_end, scratch);
  const int64_t dim = c.cache.head_dim;
  Partial* states = (Partial*)take(scratch, 2 * size_t(t.queries));
  for (int64_t i = 0; i < t.queries; i++) states[i].max = no_max, states[i].sum = 0;
  auto out_row = [&](int64_t i) { return c.out + ((row_begin + i / t.group) * c.heads + kv_head * t.group + i % t.group) * dim; };
  const int64_t begin = first_visible(c, c.start + row_begin) / key_partition, end = last_visible(c, c.start + row_end - 1) / key_partition + 1;
  for (int64_t partition = begin; partition < end; partition++) {
    if (stopped(c)) return;
    run_partition(c, t, kv_head, row_begin, partition);
    for (int64_t i = 0; i < t.queries; i++) merge(states[i], out_row(i), t.partials[i], t.output_rows[i], dim);
  }
  for (int64_t i = 0; i < t.queries; i++) divide(out_row(i), states[i].sum, dim);
}

static void attention_partitions(const Attention& c, int64_t kv_head, int64_t row_begin, int64_t row_end, int64_t part_begin,
                                 int64_t part_end, Partial* partials, float* outputs, float* scratch) {
  Tile t = make_tile(c, kv_head, row_begin, row_end, scratch);
  const int64_t dim = c.cache.head_dim;
  for (int64_t part = part_begin; part < part_end; part++) {
    if (stopped(c)) return;
    auto index = [&](int64_t i) { return (row_begin + i / t.group) * c.heads + kv_head * t.group + i % t.group; };
    Partial* to = partials + (part - part_begin) * c.rows * c.heads;
    for (int64_t i = 0; i < t.queries; i++) t.output_rows[i] = outputs + ((part - part_begin) * c.rows * c.heads + index(i)) * dim;
    run_partition(c, t, kv_head, row_begin, part);
    for (int64_t i = 0; i < t.queries; i++) to[index(i)] = t.partials[i];
  }
}

static void attention_merge(const Attention& c, int64_t row_begin, int64_t row_end, int64_t parts, const Partial* partials,
                            const float* outputs, Partial* state, bool last) {
  const int64_t dim = c.cache.head_dim;
  for (int64_t i = row_begin * c.heads; i < row_end * c.heads; i++) {
    float* out = c.out + i * dim;
    for (int64_t part = 0; part < parts; part++) {
      const int64_t at = part * c.rows * c.heads + i;
      merge(state[i], out, partials[at], outputs + at * dim, dim);
    }
    if (last) divide(out, state[i].sum, dim);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
