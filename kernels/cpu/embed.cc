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

// One output's row out of its panel: the layout is made for products, so this walks it byte by byte.
static void embed_packed(const Weights& w, int64_t output, float scale, float* out) {
  const int64_t blocks = w.inputs / quant_block, quant_bytes = quant_bytes_per_block(w.format);
  const uint8_t* panel = w.data + output / panel_outputs * panel_bytes(w.format, w.inputs);
  const uint8_t* scales = panel + blocks * quant_bytes;
  const int64_t lane = output % panel_outputs;
  for (int64_t b = 0; b < blocks; b++) {
    uint16_t half;
    memcpy(&half, scales + (b * panel_outputs + lane) * 2, 2);
    const float d = float_of_f16(half);
    const uint8_t* quants = panel + b * quant_bytes + lane * 4;
    float* to = out + b * quant_block;
    for (int g = 0; g < 8; g++) {
      for (int k = 0; k < 4; k++) {
        int value;
        if (w.format == Format::q8_0) {
          const uint8_t byte = quants[g * 64 + k];
          value = q8_zero == 0 ? int(int8_t(byte)) : int(byte) - q8_zero;
        } else {
          const uint8_t byte = quants[(g & 3) * 64 + k];
          value = int(g < 4 ? byte & 15 : byte >> 4) - 8;
        }
        to[g * 4 + k] = float(value) * d * scale;
      }
    }
  }
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
      default: embed_packed(w, id, c.scale, out);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
