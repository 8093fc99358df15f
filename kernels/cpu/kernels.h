// What each instruction-set variant offers: one table of functions, and the plain structs they take.
//
// A function works on a range of rows (or of tiles, or of panels) and knows nothing of threads; commands.cc cuts the
// work. No result depends on how it is cut: each (row, output) is summed in one order, by one function.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace lodestone {

// In the order of src/weights/blocks.ts.
enum class Format : int { f32 = 0, f16 = 1, bf16 = 2, q8_0 = 3, q4_0 = 4, q4_1 = 5, q5_0 = 6, q5_1 = 7, q4_k = 8, q5_k = 9, q6_k = 10 };

constexpr int64_t quant_block = 32;     // elements that share a scale, along the inputs (GGUF's q8_0 and q4_0)
constexpr int64_t panel_outputs = 16;   // outputs that products with quantised weights compute side by side
constexpr int64_t quant_span = 512;     // inputs that they bring into lanes at a time
constexpr int64_t activation_tile = 16; // rows stored together in quantised activations
// Floats of scratch for a product with quantised weights: of each block of a panel's span, quants, scale, min, inner scales.
constexpr size_t quant_scratch = size_t(quant_span / quant_block * panel_outputs * (32 / 4 + 1 + 1 + 2));

// Neighbours of a row that are stored together, and their bytes.
// `static`: every variant keeps a copy of its own. Merged by the linker, the one that stays could need AVX-512.
struct BlockLayout {
  int64_t elements, bytes;
};
static inline BlockLayout block_layout(Format f) {
  switch (f) {
    case Format::f32: return {1, 4};
    case Format::f16: case Format::bf16: return {1, 2};
    case Format::q8_0: return {32, 34};
    case Format::q4_0: return {32, 18};
    case Format::q4_1: return {32, 20};
    case Format::q5_0: return {32, 22};
    case Format::q5_1: return {32, 24};
    case Format::q4_k: return {256, 144};
    case Format::q5_k: return {256, 176};
    case Format::q6_k: return {256, 210};
  }
  return {1, 0};
}
static inline bool quantised(Format f) { return block_layout(f).elements > 1; }
static inline int64_t bytes_per_row(Format f, int64_t inputs) {
  const BlockLayout layout = block_layout(f);
  return inputs / layout.elements * layout.bytes;
}

// A matrix [outputs, inputs], row-major, quantised formats in GGUF's blocks; in a mapped file as a rule, at any address.
struct Weights {
  Format format;
  int64_t outputs, inputs;
  const uint8_t* data;
};

struct Embed {
  const uint32_t* ids;
  Weights weights;
  float scale;
  float* out;
};

struct RmsNorm {
  const float* x;
  const float* gain;
  float* out;
  int64_t width;
  float eps;
};

struct LayerNorm {
  const float* x;
  const float* gain;
  const float* bias;
  float* out;
  int64_t width;
  float eps;
};

struct AddNorm {
  float* x;
  const float* branch;
  const float* gain;
  const float* next_gain;  // null: no norm follows
  float* next_out;
  int64_t width;
  float eps;
};

// Rows of activations as int8, in tiles of tile_rows = min(rows, 16) rows:
// values [tile][block][row in tile][32], scales and corrections [tile][block][row in tile].
struct Activations {
  int64_t rows, blocks, tile_rows;
  int8_t* values;
  float* scales;
  int32_t* minus_8_sums;      // -8 * (sum of the block): the correction for weights stored with a zero point of 8
  int16_t* minus_16_halves;  // [..][2]: -16 * (sum of the block's first and last half)
};

struct DenseProduct {
  const float* x;
  int64_t x_stride;
  Weights weights;
  float* out;
  int64_t out_stride;
};

// Weights in bf16 with activations rounded to bf16 too: an explicit option, where there are instructions for it.
struct Bf16Product {
  const uint16_t* x;  // [rows][inputs]
  Weights weights;
  float* out;
  int64_t out_stride;
};

struct QuantProduct {
  const Activations* x;
  Weights weights;
  float* out;
  int64_t out_stride;
};

// How a cache stores keys and values, in the order of kvFormats in src/device/kvLayout.ts.
enum class KvFormat : int { f32 = 0, f16 = 1, q8_0 = 2 };

// One layer's keys and values. Inside a page [kv_head][slot][head_dim] elements; with q8_0 these are int8, and
// [kv_head][slot][head_dim / 32] f32 scales follow. k_pages[0] is page `first_page`: the pages before are not touched.
struct Cache {
  uint8_t* const* k_pages;
  uint8_t* const* v_pages;
  int64_t first_page;
  int64_t page_slots, kv_heads, head_dim;
  bool ring;
  KvFormat format;
};

struct NormRope {
  float* q;
  const float* gain;  // null, of keys to store: neither normed nor rotated
  const float* rope;  // null: no rotation; else per row head_dim/2 cosines, head_dim/2 sines
  int64_t heads, head_dim;
  float eps;
};

struct StoreKv {
  NormRope key;
  const float* v;
  int64_t start;
  Cache cache;
};

// Attention sees the keys in blocks of 64 and partitions of 256, both cut at absolute positions. Inside a partition
// softmax runs block after block; partitions are merged in their order. So a query's result depends on its position,
// window and the cache alone, whoever computes it and beside whom.
constexpr int64_t key_block = 64;
constexpr int64_t key_partition = 256;

// Positions from .. to - 1.
struct Span {
  int64_t from, to;
};

struct Attention {
  const float* q;
  float* out;
  int64_t rows, start, heads, window;
  float scale;
  const float* log_scale;  // null, or [heads]
  const Span* blocks;      // ascending: a query in one of them sees to its end
  int64_t block_count;
  Cache cache;
  const bool* cancelled;  // read atomically between partitions; null: never
};

// What a partition (or a row of merged partitions) gives for one (row, head): the running maximum of the logits, the
// sum of exponentials and the unnormalised output of head_dim floats.
struct Partial {
  float max, sum;
};

struct GeGlu {
  const float* gate;
  const float* up;
  float* out;
};

struct Gelu {
  const float* x;
  float* out;
};

// x [length][width], out [rows][taps][width]
struct Unfold {
  const float* x;
  float* out;
  int64_t length, width, taps, stride, pad;
};

struct Add {
  float* x;
  const float* y;
};

// x [side][side][width], out [side / size][side / size][width]
struct AveragePool {
  const float* x;
  float* out;
  int64_t side, size, width;
};

// Draws one of `count` tokens, as src/device/sampling.ts says. temperature 0: greedy; top_k 0, top_p 1 and min_p 0 keep all.
// id is 2^32 - 1 where no logit is above -infinity.
struct Sample {
  const float* logits;
  int64_t count;
  double temperature;
  int64_t top_k;
  double top_p, min_p;
  uint32_t stream;
  uint32_t* id;
  float* log_probability;
};

// The last position that a query sees.
static inline int64_t last_visible(const Attention& c, int64_t position) {
  for (int64_t i = 0; i < c.block_count; i++) {
    if (position < c.blocks[i].from) break;
    if (position < c.blocks[i].to) return c.blocks[i].to - 1;
  }
  return position;
}

struct Kernels {
  const char* name;
  void (*embed)(const Embed&, int64_t row_begin, int64_t row_end);
  void (*rms_norm)(const RmsNorm&, int64_t row_begin, int64_t row_end);
  void (*add_norm)(const AddNorm&, int64_t row_begin, int64_t row_end);
  void (*quantise_rows)(const float* x, int64_t x_stride, const Activations& out, int64_t row_begin, int64_t row_end);
  void (*dense_product)(const DenseProduct&, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end, float* scratch);
  size_t (*dense_scratch)(int64_t rows);  // floats, for a call on so many rows
  // Null where the variant has no bf16 dot product.
  void (*bf16_rows)(const float* x, int64_t inputs, uint16_t* out, int64_t row_begin, int64_t row_end);
  void (*bf16_product)(const Bf16Product&, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end);
  void (*quant_product)(const QuantProduct&, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end, float* scratch);
  void (*norm_rope)(const NormRope&, int64_t row_begin, int64_t row_end);
  void (*store_kv)(const StoreKv&, int64_t row_begin, int64_t row_end);
  // A tile is the rows row_begin .. row_end for all query heads of one KV head. Scratch floats as attention_scratch says.
  void (*attention_tile)(const Attention&, int64_t kv_head, int64_t row_begin, int64_t row_end, float* scratch);
  // Partitions part_begin .. part_end for all rows of the list, all query heads of one KV head.
  // partials [partition - part_begin][row][head], outputs the same with head_dim floats each.
  void (*attention_partitions)(const Attention&, int64_t kv_head, int64_t row_begin, int64_t row_end, int64_t part_begin,
                               int64_t part_end, Partial* partials, float* outputs, float* scratch);
  // Merges them in order into `state` [row][head] and out; `last` divides by the sum.
  void (*attention_merge)(const Attention&, int64_t row_begin, int64_t row_end, int64_t parts, const Partial* partials,
                          const float* outputs, Partial* state, bool last);
  size_t (*attention_scratch)(const Attention&, int64_t tile_rows);
  void (*ge_glu)(const GeGlu&, int64_t begin, int64_t end);
  void (*layer_norm)(const LayerNorm&, int64_t row_begin, int64_t row_end);
  void (*gelu)(const Gelu&, int64_t begin, int64_t end);
  void (*gelu_erf)(const Gelu&, int64_t begin, int64_t end);
  void (*unfold)(const Unfold&, int64_t row_begin, int64_t row_end);
  void (*add)(const Add&, int64_t begin, int64_t end);
  void (*average_pool)(const AveragePool&, int64_t cell_begin, int64_t cell_end);
  float (*largest)(const float* x, int64_t count);  // -infinity of no numbers; NaN never wins
  double (*log_sum_exp)(const float* x, int64_t count, float largest);
  // out[r][o] += bias[o] for the outputs out_begin .. out_end - 1.
  void (*add_bias)(float* out, int64_t out_stride, const float* bias, int64_t row_begin, int64_t row_end, int64_t out_begin, int64_t out_end);
  // Quantises, narrows or widens rows of a matrix to `to`.
  void (*convert)(const Weights& from, Format to, uint8_t* data, int64_t row_begin, int64_t row_end);
};

}  // namespace lodestone
