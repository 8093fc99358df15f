// A device's commands with every buffer resolved, and how each is cut into parallel work.
#pragma once
#include <stdint.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernels.h"
#include "pool.h"

namespace lodestone {

struct EmbedCommand {
  Embed args;
  int64_t rows;
};
struct RmsNormCommand {
  RmsNorm args;
  int64_t rows;
};
struct AddNormCommand {
  AddNorm args;
  int64_t rows;
};
struct MatMulCommand {
  const float* x;
  int64_t rows;
  struct Part {
    Weights weights;
    float* out;
    const float* bias;  // null, or [outputs]
  };
  std::vector<Part> parts;
};
struct NormRopeCommand {
  NormRope args;
  int64_t rows;
};
// The page lists belong to the command; args.cache points into them.
struct Pages {
  std::vector<uint8_t*> k, v;
};
struct StoreKvCommand {
  StoreKv args;
  int64_t rows;
  std::shared_ptr<Pages> pages;
};
struct AttentionCommand {
  Attention args;
  std::shared_ptr<Pages> pages;
  std::shared_ptr<std::vector<Span>> blocks;
};
struct GeGluCommand {
  GeGlu args;
  int64_t count;
};

struct LayerNormCommand {
  LayerNorm args;
  int64_t rows;
};
struct GeluCommand {
  Gelu args;
  int64_t count;
};
struct GeluErfCommand {
  Gelu args;
  int64_t count;
};
struct UnfoldCommand {
  Unfold args;
  int64_t rows;
};
struct AddCommand {
  Add args;
  int64_t count;
};
struct AveragePoolCommand {
  AveragePool args;
};

struct SampleCommand {
  Sample args;
};

using Command = std::variant<EmbedCommand, RmsNormCommand, AddNormCommand, MatMulCommand, NormRopeCommand, StoreKvCommand,
                             AttentionCommand, GeGluCommand, LayerNormCommand, GeluCommand, GeluErfCommand, UnfoldCommand, AddCommand,
                             AveragePoolCommand, SampleCommand>;

// Runs commands on a pool; keeps scratch between them. One thread at a time.
class Executor {
 public:
  // bf16_activations: bf16 weights meet activations rounded to bf16; the variant must have it.
  Executor(const Kernels& kernels, int threads, bool bf16_activations)
      : kernels_(kernels), pool_(threads), bf16_activations_(bf16_activations) {}

  // Stops early when *cancelled, and where a command can't be run (a token id outside the vocabulary): *error says why.
  void run(std::vector<Command>& commands, const bool* cancelled, std::string* error);

  // Quantises, narrows or widens a matrix; `data` has room for all rows as `to`.
  void convert(const Weights& from, Format to, uint8_t* data, const bool* cancelled);

  int threads() const { return pool_.threads(); }

 private:
  void run_one(EmbedCommand&);
  void run_one(RmsNormCommand&);
  void run_one(AddNormCommand&);
  void run_one(MatMulCommand&);
  void run_one(NormRopeCommand&);
  void run_one(StoreKvCommand&);
  void run_one(AttentionCommand&);
  void run_one(GeGluCommand&);
  void run_one(LayerNormCommand&);
  void run_one(GeluCommand&);
  void run_one(GeluErfCommand&);
  void run_one(UnfoldCommand&);
  void run_one(AddCommand&);
  void run_one(AveragePoolCommand&);
  void run_one(SampleCommand&);

  // body(begin, end) over [0, count) in ranges of about `per_task`.
  template <class Body>
  void ranges(int64_t count, int64_t per_task, Body&& body) {
    const int64_t size = per_task > 0 ? per_task : 1;
    pool_.run((count + size - 1) / size, [&](int64_t task, int) {
      const int64_t begin = task * size, end = begin + size < count ? begin + size : count;
      body(begin, end);
    });
  }
  // Rows of an element-wise command: enough elements to a task to be worth a claim.
  template <class Body>
  void by_rows(int64_t rows, int64_t elements_per_row, Body&& body) {
    ranges(rows, 8192 / (elements_per_row > 0 ? elements_per_row : 1) + 1, body);
  }

  Activations quantise(const float* x, int64_t rows, int64_t inputs);

  const Kernels& kernels_;
  Pool pool_;
  const bool bf16_activations_;
  GrowingMemory activations_, bf16_, partials_;
};

}  // namespace lodestone
