// Weights as they come from a file, in another format: widened to f32, narrowed to f16, or quantised.
// Not a kernel of the device interface; runs once, when a weight is loaded.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// A block of 32 weights as GGUF stores it: f16 scale; q8_0: 32 signed bytes; q4_0: 16 bytes, low nibbles first.
struct QuantBlock {
  uint16_t scale;
  uint8_t quants[32];
};

constexpr int block_vectors = int(quant_block) / lanes;

// GGUF's rounding, by the unrounded d. d = max|x| / 127, q = x / d rounded to nearest, halves away from zero.
static QuantBlock quantise_q8(const float* x) {
  F largest = zero();
  for (int v = 0; v < block_vectors; v++) largest = max(largest, abs(load(x + v * lanes)));
  const float d = max_of(largest) / 127.0f;
  const F inverse = set(d != 0 ? 1.0f / d : 0.0f);
  QuantBlock out;
  out.scale = f16_of_float(d);
  for (int v = 0; v < block_vectors; v++) {
    const F scaled = load(x + v * lanes) * inverse, magnitude = abs(scaled);
    const F even = round_even(magnitude);
    const F rounded = select(less(magnitude - even, set(0.5f)), even, even + set(1.0f));
    store_int8((int8_t*)out.quants + v * lanes, select(less(scaled, zero()), zero() - rounded, rounded));
  }
  return out;
}

// d = (the element of largest magnitude, with its sign, the first of equals) / -8, q = min(15, trunc(x / d + 8.5)).
static QuantBlock quantise_q4(const float* x) {
  F top = load(x), bottom = zero() - load(x);
  for (int v = 1; v < block_vectors; v++) {
    top = max(top, load(x + v * lanes));
    bottom = max(bottom, zero() - load(x + v * lanes));
  }
  const float highest = max_of(top), lowest = -max_of(bottom);
  float largest = highest > -lowest ? highest : lowest;
  if (highest == -lowest) {
    for (int i = 31; i >= 0; i--) largest = __builtin_fabsf(x[i]) == highest ? x[i] : largest;
  }
  const float d = largest / -8.0f;
  const F inverse = set(d != 0 ? 1.0f / d : 0.0f);
  int8_t nibbles[32];
  for (int v = 0; v < block_vectors; v++) {
    const F shifted = load(x + v * lanes) * inverse + set(8.5f);
    const F even = round_even(shifted);
    const F whole = select(less(shifted, even), even - set(1.0f), even);  // trunc: it is positive
    store_int8(nibbles + v * lanes, min(whole, set(15.0f)));
  }
  QuantBlock out;
  out.scale = f16_of_float(d);
  for (int i = 0; i < 16; i++) out.quants[i] = uint8_t(nibbles[i] | nibbles[i + 16] << 4);
  return out;
}

static QuantBlock block_of(const Weights& m, int64_t output, int64_t block, Format to) {
  QuantBlock out;
  if (m.format == Format::q5_0 && to == Format::q8_0) {  // the same scale, and integers that need no rounding
    const uint8_t* from = m.data + output * bytes_per_row(m.format, m.inputs) + block * block_layout(m.format).bytes;
    uint32_t fifth_bits;
    int32_t q[32];
    memcpy(&out.scale, from, 2);
    memcpy(&fifth_bits, from + 2, 4);
    unpack_nibbles(from + 6, fifth_bits, q);
    for (int j = 0; j < 32; j++) out.quants[j] = uint8_t(q[j] - 16);
    return out;
  }
  float values[quant_block];
  widen_row(m, output, block * quant_block, quant_block, values);
  return to == Format::q8_0 ? quantise_q8(values) : quantise_q4(values);
}

static void quantise_row(const Weights& m, int64_t output, Format to, uint8_t* out) {
  const int64_t bytes = block_layout(to).bytes;
  for (int64_t b = 0; b < m.inputs / quant_block; b++) {
    const QuantBlock block = block_of(m, output, b, to);
    memcpy(out + b * bytes, &block.scale, 2);
    memcpy(out + b * bytes + 2, block.quants, size_t(bytes) - 2);
  }
}

static void narrow_row(const Weights& m, int64_t output, uint16_t* out) {
  float values[quant_block];
  for (int64_t i = 0; i < m.inputs; i += quant_block) {
    widen_row(m, output, i, quant_block, values);
    for (int v = 0; v < block_vectors; v++) store_f16(out + i + v * lanes, load(values + v * lanes));
  }
}

static void convert(const Weights& from, Format to, uint8_t* data, int64_t row_begin, int64_t row_end) {
  for (int64_t i = row_begin; i < row_end; i++) {
    uint8_t* row = data + i * bytes_per_row(to, from.inputs);
    if (to == Format::f32) widen_row(from, i, 0, from.inputs, (float*)row);
    else if (to == Format::f16) narrow_row(from, i, (uint16_t*)row);
    else quantise_row(from, i, to, row);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
