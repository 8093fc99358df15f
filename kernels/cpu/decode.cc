// Commands from the numbers that src/device/cpu/commands.ts writes. Sizes have been checked there; here, only that
// every buffer and weight exists.
#include "engine.h"

namespace lodestone {

namespace {

enum Opcode { kEmbed = 0, kRmsNorm, kAddNorm, kMatMul, kNormRope, kStoreKv, kAttention, kGeGlu, kLayerNorm, kGelu, kAdd, kAveragePool, kGeluErf, kUnfold, kSample };

class Reader {
 public:
  Reader(Engine& engine, const double* numbers, size_t count) : engine_(engine), at_(numbers), end_(numbers + count) {}

  bool more() const { return at_ < end_ && error.empty(); }
  double number() {
    if (at_ < end_) return *at_++;
    error = "the command list is cut short";
    return 0;
  }
  int64_t integer() { return int64_t(number()); }

  // A buffer's id and a byte offset; id -1 is null.
  template <class T = float>
  T* view() {
    const double id = number(), offset = number();
    return id < 0 ? nullptr : (T*)(buffer(id) + int64_t(offset));
  }
  Weights weights() {
    const double id = number();
    const auto found = engine_.weights.find(uint32_t(id));
    if (found != engine_.weights.end()) return found->second.view;
    error = "no weight has the id " + std::to_string(int64_t(id));
    return {};
  }
  Cache cache(Pages& pages) {
    Cache c;
    c.ring = number() != 0;
    c.page_slots = integer();
    c.kv_heads = integer();
    c.head_dim = integer();
    c.format = KvFormat(int(number()));
    c.first_page = integer();
    const int64_t count = integer();
    for (int64_t i = 0; i < count && error.empty(); i++) {
      pages.k.push_back(buffer(number()));
      pages.v.push_back(buffer(number()));
    }
    c.k_pages = pages.k.data();
    c.v_pages = pages.v.data();
    return c;
  }

  std::string error;

 private:
  uint8_t* buffer(double id) {
    const auto found = engine_.buffers.find(uint32_t(id));
    if (found != engine_.buffers.end()) return found->second.data();
    error = "no buffer has the id " + std::to_string(int64_t(id));
    return nullptr;
  }

  Engine& engine_;
  const double* at_;
  const double* end_;
};

Command read_command(Reader& r) {
  switch (int(r.number())) {
    case kEmbed: {
      EmbedCommand c;
      c.args.ids = r.view<const uint32_t>();
      c.args.weights = r.weights();
      c.args.scale = float(r.number());
      c.args.out = r.view();
      c.rows = r.integer();
      return c;
    }
    case kRmsNorm: {
      RmsNormCommand c;
      c.args.x = r.view();
      c.args.gain = r.view();
      c.args.out = r.view();
      c.rows = r.integer();
      c.args.width = r.integer();
      c.args.eps = float(r.number());
      return c;
    }
    case kAddNorm: {
      AddNormCommand c;
      c.args.x = r.view();
      c.args.branch = r.view();
      c.args.gain = r.view();
      c.args.next_gain = r.view();
      c.args.next_out = r.view();
      c.rows = r.integer();
      c.args.width = r.integer();
      c.args.eps = float(r.number());
      return c;
    }
    case kMatMul: {
      MatMulCommand c;
      c.x = r.view();
      c.rows = r.integer();
      const int64_t parts = r.integer();
      for (int64_t i = 0; i < parts && r.error.empty(); i++) {
        MatMulCommand::Part part;
        part.weights = r.weights();
        part.out = r.view();
        part.bias = r.view();
        c.parts.push_back(part);
      }
      return c;
    }
    case kNormRope: {
      NormRopeCommand c;
      c.args.q = r.view();
      c.rows = r.integer();
      c.args.heads = r.integer();
      c.args.head_dim = r.integer();
      c.args.gain = r.view();
      c.args.eps = float(r.number());
      c.args.rope = r.view();
      return c;
    }
    case kStoreKv: {
      StoreKvCommand c;
      c.args.key.q = r.view();
      c.args.v = r.view();
      c.rows = r.integer();
      c.args.start = r.integer();
      c.args.key.gain = r.view();
      c.args.key.eps = float(r.number());
      c.args.key.rope = r.view();
      c.pages = std::make_shared<Pages>();
      c.args.cache = r.cache(*c.pages);
      c.args.key.heads = c.args.cache.kv_heads;
      c.args.key.head_dim = c.args.cache.head_dim;
      return c;
    }
    case kAttention: {
      AttentionCommand c;
      c.args.q = r.view();
      c.args.out = r.view();
      c.args.rows = r.integer();
      c.args.start = r.integer();
      c.args.heads = r.integer();
      c.args.window = r.integer();
      c.args.scale = float(r.number());
      c.args.log_scale = r.view();
      c.blocks = std::make_shared<std::vector<Span>>();
      const int64_t blocks = r.integer();
      for (int64_t i = 0; i < blocks && r.error.empty(); i++) {
        const int64_t from = r.integer();
        c.blocks->push_back(Span{from, r.integer()});
      }
      c.args.blocks = c.blocks->data();
      c.args.block_count = int64_t(c.blocks->size());
      c.pages = std::make_shared<Pages>();
      c.args.cache = r.cache(*c.pages);
      c.args.cancelled = nullptr;
      return c;
    }
    case kGeGlu: {
      GeGluCommand c;
      c.args.gate = r.view();
      c.args.up = r.view();
      c.args.out = r.view();
      c.count = r.integer();
      return c;
    }
    case kLayerNorm: {
      LayerNormCommand c;
      c.args.x = r.view();
      c.args.gain = r.view();
      c.args.bias = r.view();
      c.args.out = r.view();
      c.rows = r.integer();
      c.args.width = r.integer();
      c.args.eps = float(r.number());
      return c;
    }
    case kGelu: {
      GeluCommand c;
      c.args.x = r.view();
      c.args.out = r.view();
      c.count = r.integer();
      return c;
    }
    case kGeluErf: {
      GeluErfCommand c;
      c.args.x = r.view();
      c.args.out = r.view();
      c.count = r.integer();
      return c;
    }
    case kUnfold: {
      UnfoldCommand c;
      c.args.x = r.view();
      c.args.out = r.view();
      c.args.length = r.integer();
      c.args.width = r.integer();
      c.rows = r.integer();
      c.args.taps = r.integer();
      c.args.stride = r.integer();
      c.args.pad = r.integer();
      return c;
    }
    case kAdd: {
      AddCommand c;
      c.args.x = r.view();
      c.args.y = r.view();
      c.count = r.integer();
      return c;
    }
    case kAveragePool: {
      AveragePoolCommand c;
      c.args.x = r.view();
      c.args.out = r.view();
      c.args.side = r.integer();
      c.args.size = r.integer();
      c.args.width = r.integer();
      return c;
    }
    case kSample: {
      SampleCommand c;
      c.args.logits = r.view();
      c.args.count = r.integer();
      c.args.temperature = r.number();
      c.args.top_k = r.integer();
      c.args.top_p = r.number();
      c.args.min_p = r.number();
      c.args.stream = uint32_t(r.number());
      uint32_t* out = r.view<uint32_t>();
      c.args.id = out;
      c.args.log_probability = (float*)(out + 1);
      return c;
    }
    default:
      r.error = "an opcode is not known";
      return GeGluCommand{};
  }
}

}  // namespace

bool decode_commands(Engine& engine, const double* numbers, size_t count, std::vector<Command>* out, std::string* error) {
  Reader reader(engine, numbers, count);
  while (reader.more()) out->push_back(read_command(reader));
  *error = reader.error;
  return reader.error.empty();
}

}  // namespace lodestone
