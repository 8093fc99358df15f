// out[r] = scale * W[ids[r]]
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

template <class T>
static void embed_dense(const T* row, int64_t width, float scale, float* out) {
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) store(out + i, load_as_float(row + i) * set(scale));
  if (i < width) store_part(out + i, load_part_as_float(row + i, int(width - i)) * set(scale), int(width - i));
}

static void embed_blocks(const Weights& w, int64_t output, float scale, float* out) {
  widen_row(w, output, 0, w.inputs, out);
  for (int64_t i = 0; i < w.inputs; i += lanes) store(out + i, load(out + i) * set(scale));  // whole blocks
}

static void embed(const Embed& c, int64_t row_begin, int64_t row_end) {
  const Weights& w = c.weights;
  for (int64_t r = row_begin; r < row_end; r++) {
    const int64_t id = c.ids[r];
    if (id >= w.outputs) continue;  // the engine has refused such a list
    float* out = c.out + r * w.inputs;
    const uint8_t* row = w.data + id * bytes_per_row(w.format, w.inputs);
    switch (w.format) {
      case Format::f32: embed_dense((const float*)row, w.inputs, c.scale, out); break;
      case Format::f16: embed_dense((const F16*)row, w.inputs, c.scale, out); break;
      case Format::bf16: embed_dense((const Bf16*)row, w.inputs, c.scale, out); break;
      default: embed_blocks(w, id, c.scale, out);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
