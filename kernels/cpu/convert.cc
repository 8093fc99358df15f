// Weights as they come from a file, into what the products want: widened to f32, or quantised and packed in panels.
// Not a kernel of the device interface; runs once, when a weight is loaded.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// A block of 32 weights as GGUF would store it: f16 scale, and quants as signed numbers (q4_0: -8 .. 7).
struct QuantBlock {
  uint16_t scale;
  int8_t quants[32];
};

static void block_values(const Matrix& m, int64_t output, int64_t begin, int64_t count, float* out) {
  const uint8_t* row = m.data + output * bytes_per_row(m.format, m.inputs);
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = begin + i;
    uint16_t half;
    switch (m.format) {
      case Format::f32: memcpy(out + i, row + at * 4, 4); break;
      case Format::f16: memcpy(&half, row + at * 2, 2); out[i] = float_of_f16(half); break;
      case Format::bf16: memcpy(&half, row + at * 2, 2); out[i] = float_of_bf16(half); break;
      case Format::q8_0: {
        const uint8_t* block = row + at / 32 * 34;
        memcpy(&half, block, 2);
        out[i] = float(int8_t(block[2 + at % 32])) * float_of_f16(half);
        break;
      }
      case Format::q4_0: {
        const uint8_t* block = row + at / 32 * 18;
        memcpy(&half, block, 2);
        const int j = int(at % 32);
        out[i] = float((j < 16 ? block[2 + j] & 15 : block[2 + j - 16] >> 4) - 8) * float_of_f16(half);
        break;
      }
    }
  }
}

// GGUF's rounding. q8_0: d = max|x| / 127, q = round half away from zero (x / d). q4_0: d = (the element of largest
// magnitude, with its sign) / -8, q = min(15, trunc(x / d + 8.5)). Both with the unrounded d; stored is f16(d).
static QuantBlock quantise_block(const float* x, Format to) {
  QuantBlock out;
  float largest = 0, signed_largest = 0;
  for (int i = 0; i < 32; i++) {
    const float magnitude = __builtin_fabsf(x[i]);
    if (magnitude > largest) largest = magnitude, signed_largest = x[i];
  }
  if (to == Format::q8_0) {
    const float d = largest / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    for (int i = 0; i < 32; i++) {
      const float scaled = x[i] * inverse;
      const int whole = int(scaled);
      const float rest = scaled - float(whole);
      out.quants[i] = int8_t(whole + (rest >= 0.5f ? 1 : rest <= -0.5f ? -1 : 0));
    }
    out.scale = f16_of_float(d);
  } else {
    const float d = signed_largest / -8.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
    for (int i = 0; i < 32; i++) {
      const int q = int(x[i] * inverse + 8.5f);
      out.quants[i] = int8_t((q > 15 ? 15 : q) - 8);
    }
    out.scale = f16_of_float(d);
  }
  return out;
}

static QuantBlock read_block(const Matrix& m, int64_t output, int64_t block, Format to) {
  QuantBlock out;
  if (m.format == to) {
    const uint8_t* from = m.data + output * bytes_per_row(to, m.inputs) + block * (to == Format::q8_0 ? 34 : 18);
    memcpy(&out.scale, from, 2);
    for (int i = 0; i < 32; i++) {
      if (to == Format::q8_0) out.quants[i] = int8_t(from[2 + i]);
      else out.quants[i] = int8_t((i < 16 ? from[2 + i] & 15 : from[2 + i - 16] >> 4) - 8);
    }
    return out;
  }
  float values[32];
  block_values(m, output, block * 32, 32, values);
  return quantise_block(values, to);
}

static void pack_panel(const Matrix& m, Format to, uint8_t* panel, int64_t first_output) {
  const int64_t blocks = m.inputs / quant_block, block_bytes = quant_bytes_per_block(to);
  memset(panel, 0, size_t(panel_bytes(to, m.inputs)));
  for (int64_t lane = 0; lane < panel_outputs && first_output + lane < m.outputs; lane++) {
    for (int64_t b = 0; b < blocks; b++) {
      const QuantBlock block = read_block(m, first_output + lane, b, to);
      memcpy(panel + blocks * block_bytes + (b * panel_outputs + lane) * 2, &block.scale, 2);
      uint8_t* quants = panel + b * block_bytes + lane * 4;
      for (int i = 0; i < 32; i++) {
        const int g = i / 4, k = i % 4;
        if (to == Format::q8_0) quants[g * 64 + k] = uint8_t(block.quants[i] + q8_zero);
        else quants[(g & 3) * 64 + k] |= uint8_t((block.quants[i] + 8) << (g < 4 ? 0 : 4));
      }
    }
  }
}

static void convert(const Matrix& from, Format to, uint8_t* data, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    if (to == Format::f32) block_values(from, i, 0, from.inputs, (float*)data + i * from.inputs);
    else pack_panel(from, to, data + i * panel_bytes(to, from.inputs), i * panel_outputs);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
