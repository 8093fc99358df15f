// Weights as they come from a file, into what the products want: widened to f32, unpacked to f16, or quantised and
// packed in panels.
// Not a kernel of the device interface; runs once, when a weight is loaded.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// Inputs begin .. begin + count - 1 of one output; of block formats, multiples of 32.
template <class T>
static void widen(const uint8_t* row, int64_t begin, int64_t count, float* out) {
  const T* from = (const T*)row + begin;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, load_as_float(from + i));
  if (i < count) store_part(out + i, load_part_as_float(from + i, int(count - i)), int(count - i));
}

static void widen_row(const Matrix& m, int64_t output, int64_t begin, int64_t count, float* out) {
  const uint8_t* row = m.data + output * bytes_per_row(m.format, m.inputs);
  switch (m.format) {
    case Format::f32: return widen<float>(row, begin, count, out);
    case Format::f16: return widen<F16>(row, begin, count, out);
    case Format::bf16: return widen<Bf16>(row, begin, count, out);
    default:
      for (int64_t i = 0; i < count; i += quant_block) unpack_32(m.format, row, (begin + i) / quant_block, out + i);
  }
}

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

static QuantBlock block_of(const Matrix& m, int64_t output, int64_t block, Format to) {
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
  if (m.format == to) {
    const int64_t bytes = to == Format::q8_0 ? 32 : 16;
    const uint8_t* from = m.data + output * bytes_per_row(to, m.inputs) + block * (2 + bytes);
    memcpy(&out.scale, from, 2);
    memcpy(out.quants, from + 2, size_t(bytes));
    return out;
  }
  float values[quant_block];
  widen_row(m, output, block * quant_block, quant_block, values);
  return to == Format::q8_0 ? quantise_q8(values) : quantise_q4(values);
}

// GGUF's q4_0 puts element j and j + 16 into one byte, as a panel puts groups g and g + 4: four bytes move together.
static void pack_panel(const Matrix& m, Format to, uint8_t* panel, int64_t first_output) {
  const int64_t blocks = m.inputs / quant_block, block_bytes = quant_bytes_per_block(to);
  const int groups = to == Format::q8_0 ? 8 : 4;
  const uint32_t flip = to == Format::q8_0 && q8_zero == 128 ? 0x80808080 : 0;
  if (first_output + panel_outputs > m.outputs) memset(panel, 0, size_t(panel_bytes(to, m.inputs)));
  for (int64_t lane = 0; lane < panel_outputs && first_output + lane < m.outputs; lane++) {
    for (int64_t b = 0; b < blocks; b++) {
      const QuantBlock block = block_of(m, first_output + lane, b, to);
      memcpy(panel + blocks * block_bytes + (b * panel_outputs + lane) * 2, &block.scale, 2);
      uint8_t* quants = panel + b * block_bytes + lane * 4;
      for (int g = 0; g < groups; g++) {
        uint32_t four;
        memcpy(&four, block.quants + g * 4, 4);
        four ^= flip;
        memcpy(quants + g * 64, &four, 4);
      }
    }
  }
}

static void narrow_row(const Matrix& m, int64_t output, uint16_t* out) {
  float values[quant_block];
  for (int64_t i = 0; i < m.inputs; i += quant_block) {
    widen_row(m, output, i, quant_block, values);
    for (int v = 0; v < block_vectors; v++) store_f16(out + i + v * lanes, load(values + v * lanes));
  }
}

static void convert(const Matrix& from, Format to, uint8_t* data, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) {
    if (to == Format::f32) widen_row(from, i, 0, from.inputs, (float*)data + i * from.inputs);
    else if (to == Format::f16) narrow_row(from, i, (uint16_t*)data + i * from.inputs);
    else pack_panel(from, to, data + i * panel_bytes(to, from.inputs), i * panel_outputs);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
