#include "commands.h"

#include <algorithm>

namespace lodestone {

void Executor::run(std::vector<Command>& commands, const bool* cancelled, std::string* error) {
  pool_.set_cancel_flag(cancelled);
  for (Command& command : commands) {
    if (pool_.cancelled()) break;
    if (const auto* embed = std::get_if<EmbedCommand>(&command)) {
      for (int64_t r = 0; r < embed->rows; r++) {
        if (int64_t(embed->args.ids[r]) < embed->args.weights.outputs) continue;
        *error = "embed: token id " + std::to_string(embed->args.ids[r]) + " is outside the vocabulary of " +
                 std::to_string(embed->args.weights.outputs);
        return;
      }
    }
    if (auto* attention = std::get_if<AttentionCommand>(&command)) attention->args.cancelled = cancelled;
    std::visit([this](auto& c) { run_one(c); }, command);
  }
}

void Executor::run_one(EmbedCommand& c) {
  by_rows(c.rows, c.args.weights.inputs, [&](int64_t begin, int64_t end) { kernels_.embed(c.args, begin, end); });
}

void Executor::run_one(RmsNormCommand& c) {
  by_rows(c.rows, c.args.width, [&](int64_t begin, int64_t end) { kernels_.rms_norm(c.args, begin, end); });
}

void Executor::run_one(AddNormCommand& c) {
  by_rows(c.rows, c.args.width, [&](int64_t begin, int64_t end) { kernels_.add_norm(c.args, begin, end); });
}

void Executor::run_one(NormRopeCommand& c) {
  by_rows(c.rows, c.args.heads * c.args.head_dim, [&](int64_t begin, int64_t end) { kernels_.norm_rope(c.args, begin, end); });
}

void Executor::run_one(StoreKvCommand& c) {
  by_rows(c.rows, c.args.key.heads * c.args.key.head_dim, [&](int64_t begin, int64_t end) { kernels_.store_kv(c.args, begin, end); });
}

void Executor::run_one(GeGluCommand& c) {
  ranges(c.count, 16384, [&](int64_t begin, int64_t end) { kernels_.ge_glu(c.args, begin, end); });
}

void Executor::run_one(LayerNormCommand& c) {
  by_rows(c.rows, c.args.width, [&](int64_t begin, int64_t end) { kernels_.layer_norm(c.args, begin, end); });
}

void Executor::run_one(GeluCommand& c) {
  ranges(c.count, 16384, [&](int64_t begin, int64_t end) { kernels_.gelu(c.args, begin, end); });
}

void Executor::run_one(GeluErfCommand& c) {
  ranges(c.count, 16384, [&](int64_t begin, int64_t end) { kernels_.gelu_erf(c.args, begin, end); });
}

void Executor::run_one(UnfoldCommand& c) {
  by_rows(c.rows, c.args.taps * c.args.width, [&](int64_t begin, int64_t end) { kernels_.unfold(c.args, begin, end); });
}

void Executor::run_one(AddCommand& c) {
  ranges(c.count, 65536, [&](int64_t begin, int64_t end) { kernels_.add(c.args, begin, end); });
}

void Executor::run_one(AveragePoolCommand& c) {
  const int64_t smaller = c.args.side / c.args.size;
  by_rows(smaller * smaller, c.args.size * c.args.size * c.args.width, [&](int64_t begin, int64_t end) { kernels_.average_pool(c.args, begin, end); });
}

Activations Executor::quantise(const float* x, int64_t rows, int64_t inputs) {
  Activations a;
  a.rows = rows;
  a.blocks = inputs / quant_block;
  a.tile_rows = std::min(rows, activation_tile);
  const size_t blocks = size_t((rows + activation_tile - 1) / activation_tile * a.blocks * a.tile_rows);
  uint8_t* at = activations_.reserve(blocks * (quant_block + 12) + 256);
  a.values = (int8_t*)at;
  a.scales = (float*)(at + blocks * quant_block);
  a.minus_8_sums = (int32_t*)(a.scales + blocks);
  a.minus_16_halves = (int16_t*)(a.minus_8_sums + blocks);
  by_rows(rows, inputs, [&](int64_t begin, int64_t end) { kernels_.quantise_rows(x, inputs, a, begin, end); });
  return a;
}

// How one product is cut: blocks of rows times groups of units (panels of 16 outputs, or single outputs).
struct Cut {
  int64_t row_block, unit_group, row_blocks, unit_groups;
};

// A task should take between 2 and 50 microseconds, and there should be several for each thread. The figures are those
// of a fast core; what matters is their proportion.
static Cut cut(int64_t rows, int64_t row_block, int64_t units, int64_t macs_per_unit_row, double macs_per_us, int64_t bytes_per_unit,
               int threads, int64_t unit_multiple) {
  Cut c;
  c.row_block = std::min(rows, row_block);
  c.row_blocks = (rows + c.row_block - 1) / c.row_block;
  const double us_per_unit = std::max(double(c.row_block * macs_per_unit_row) / macs_per_us, double(bytes_per_unit) / 20e3);
  const double wanted = double(units * c.row_blocks) / (threads * 6);
  const double group = std::clamp(wanted, std::max(1.0, 2 / us_per_unit), std::max(1.0, 50 / us_per_unit));
  c.unit_group = (int64_t(group) + unit_multiple - 1) / unit_multiple * unit_multiple;
  c.unit_groups = (units + c.unit_group - 1) / c.unit_group;
  return c;
}

void Executor::run_one(MatMulCommand& c) {
  if (c.rows == 0) return;
  Activations activations{};
  for (const auto& part : c.parts) {
    if (!quantised(part.weights.format)) continue;
    activations = quantise(c.x, c.rows, part.weights.inputs);
    break;
  }
  uint16_t* rounded = nullptr;  // x in bf16
  for (const auto& part : c.parts) {
    if (!bf16_activations_ || part.weights.format != Format::bf16 || rounded) continue;
    const int64_t inputs = part.weights.inputs;
    rounded = (uint16_t*)bf16_.reserve(size_t(c.rows * inputs * 2 + 64));
    by_rows(c.rows, inputs, [&](int64_t begin, int64_t end) { kernels_.bf16_rows(c.x, inputs, rounded, begin, end); });
  }
  struct Piece {
    Cut cut;
    int64_t first_task;
  };
  std::vector<Piece> pieces;
  int64_t tasks = 0;
  size_t scratch = 0;
  for (const auto& part : c.parts) {
    const Weights& w = part.weights;
    Piece piece;
    if (quantised(w.format)) {
      // As many rows as leave room in the second-level cache for a span of their activations.
      piece.cut = cut(c.rows, 256, (w.outputs + panel_outputs - 1) / panel_outputs, panel_outputs * w.inputs, 300e3,
                      panel_outputs * bytes_per_row(w.format, w.inputs), pool_.threads(), 1);
      scratch = std::max(scratch, quant_scratch);
    } else {
      piece.cut = cut(c.rows, 64, w.outputs, w.inputs, 60e3, bytes_per_row(w.format, w.inputs), pool_.threads(), 24);
      scratch = std::max(scratch, kernels_.dense_scratch(piece.cut.row_block));
    }
    piece.first_task = tasks;
    tasks += piece.cut.row_blocks * piece.cut.unit_groups;
    pieces.push_back(piece);
  }
  pool_.reserve_scratch(scratch);
  pool_.run(tasks, [&](int64_t task, int thread) {
    size_t p = pieces.size() - 1;
    while (pieces[p].first_task > task) p--;
    const Cut& piece = pieces[p].cut;
    const auto& part = c.parts[p];
    const Weights& w = part.weights;
    const int64_t at = task - pieces[p].first_task;
    const int64_t row = at / piece.unit_groups * piece.row_block, unit = at % piece.unit_groups * piece.unit_group;
    const int64_t row_end = std::min(row + piece.row_block, c.rows);
    // To what this task has just computed, while it is in the cache.
    const auto add_bias = [&](int64_t from, int64_t to) {
      if (part.bias) kernels_.add_bias(part.out, w.outputs, part.bias, row, row_end, from, to);
    };
    if (quantised(w.format)) {
      const int64_t panels = (w.outputs + panel_outputs - 1) / panel_outputs;
      const QuantProduct product{&activations, w, part.out, w.outputs};
      kernels_.quant_product(product, row, row_end, unit, std::min(unit + piece.unit_group, panels), pool_.scratch(thread));
      add_bias(unit * panel_outputs, std::min((unit + piece.unit_group) * panel_outputs, w.outputs));
    } else if (rounded && w.format == Format::bf16) {
      const Bf16Product product{rounded, w, part.out, w.outputs};
      kernels_.bf16_product(product, row, row_end, unit, std::min(unit + piece.unit_group, w.outputs));
      add_bias(unit, std::min(unit + piece.unit_group, w.outputs));
    } else {
      const DenseProduct product{c.x, w.inputs, w, part.out, w.outputs};
      kernels_.dense_product(product, row, row_end, unit, std::min(unit + piece.unit_group, w.outputs), pool_.scratch(thread));
      add_bias(unit, std::min(unit + piece.unit_group, w.outputs));
    }
  });
}

void Executor::run_one(AttentionCommand& c) {
  const Attention& a = c.args;
  if (a.rows == 0) return;
  const int64_t kv_heads = a.cache.kv_heads, group = a.heads / kv_heads, dim = a.cache.head_dim;
  const int threads = pool_.threads();
  const int64_t last = last_visible(a, a.start + a.rows - 1);
  const int64_t first = a.window == 0 || a.start < a.window ? 0 : a.start - a.window + 1;
  const int64_t part_begin = first / key_partition, part_end = last / key_partition + 1;

  // Tall tiles share the work of transposing keys; a tile's height changes no result.
  int64_t tile = std::clamp<int64_t>(128 / group, 1, 64);
  while (tile > 8 && kv_heads * ((a.rows + tile - 1) / tile) < 4 * threads) tile /= 2;
  tile = std::min(tile, a.rows);
  const int64_t tiles = (a.rows + tile - 1) / tile;
  pool_.reserve_scratch(kernels_.attention_scratch(a, tile));

  if (threads == 1 || kv_heads * tiles >= 2 * threads || part_end - part_begin == 1) {
    pool_.run(kv_heads * tiles, [&](int64_t task, int thread) {
      // The last rows see the most keys: they go first.
      const int64_t row = (tiles - 1 - task / kv_heads) * tile;
      kernels_.attention_tile(a, task % kv_heads, row, std::min(row + tile, a.rows), pool_.scratch(thread));
    });
    return;
  }

  // Few queries, many keys: split the keys too, in waves whose results fit in 16 MiB, or that give each thread four
  // tasks where that takes more.
  const int64_t queries = a.rows * a.heads;
  const int64_t per_part = queries * (dim + 2) * 4;
  const int64_t wave = std::min(part_end - part_begin, std::max((4 * threads + kv_heads * tiles - 1) / (kv_heads * tiles), (16 << 20) / per_part));
  uint8_t* memory = partials_.reserve(size_t(wave * per_part + queries * 8 + 192));
  Partial* states = (Partial*)memory;
  Partial* partials = states + queries;
  float* outputs = (float*)(memory + ((size_t(queries) * 8 * size_t(wave + 1) + 63) / 64 * 64));
  std::fill(states, states + queries, Partial{-3.0e38f, 0});
  for (int64_t begin = part_begin; begin < part_end && !pool_.cancelled(); begin += wave) {
    const int64_t parts = std::min(wave, part_end - begin);
    const int64_t per_task = std::max<int64_t>(1, parts / (4 * threads));
    const int64_t ranges_of_parts = (parts + per_task - 1) / per_task;
    pool_.run(kv_heads * tiles * ranges_of_parts, [&](int64_t task, int thread) {
      const int64_t range = task % ranges_of_parts, row = task / ranges_of_parts % tiles * tile, kv_head = task / ranges_of_parts / tiles;
      const int64_t from = range * per_task, to = std::min(from + per_task, parts);
      kernels_.attention_partitions(a, kv_head, row, std::min(row + tile, a.rows), begin + from, begin + to, partials + from * queries,
                                    outputs + from * queries * dim, pool_.scratch(thread));
    });
    by_rows(a.rows, parts * a.heads * dim, [&](int64_t row, int64_t end) {
      kernels_.attention_merge(a, row, end, parts, partials, outputs, states, begin + wave >= part_end);
    });
  }
}

void Executor::convert(const Weights& from, Format to, uint8_t* data, const bool* cancelled) {
  pool_.set_cancel_flag(cancelled);
  ranges(from.outputs, std::max<int64_t>(1, from.outputs / 4096), [&](int64_t begin, int64_t end) { kernels_.convert(from, to, data, begin, end); });
}

}  // namespace lodestone
