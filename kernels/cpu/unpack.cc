// Rows of a matrix in any format, into floats: 32 neighbours of a block format at a time. For embeddings, and for weights
// that are loaded in another format. Layouts and the order of the arithmetic are those of src/weights/blocks.ts and
// packed.ts, and so are the bits.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

LODESTONE_INLINE float f16_at(const uint8_t* p) {
  uint16_t half;
  memcpy(&half, p, 2);
  return float_of_f16(half);
}

// Nibbles of 16 bytes: element j in the low one of byte j, element j + 16 in the high one; of q5 the fifth bits too.
static void unpack_nibbles(const uint8_t* bytes, uint32_t fifth_bits, int32_t* q) {
  for (int j = 0; j < 16; j++) {
    q[j] = (bytes[j] & 15) | int32_t((fifth_bits >> j) & 1) << 4;
    q[j + 16] = (bytes[j] >> 4) | int32_t((fifth_bits >> (j + 16)) & 1) << 4;
  }
}

// q4_1, q5_0 and q5_1: d, then m in the formats whose name ends in 1, then the fifth bits, then the nibbles.
static void unpack_small(Format format, const uint8_t* block, float* out) {
  const bool has_min = format != Format::q5_0, five_bits = format != Format::q4_1;
  const float d = f16_at(block), m = has_min ? f16_at(block + 2) : 0;
  const uint8_t* at = block + (has_min ? 4 : 2);
  uint32_t fifth_bits = 0;
  if (five_bits) {
    memcpy(&fifth_bits, at, 4);
    at += 4;
  }
  int32_t q[32];
  unpack_nibbles(at, fifth_bits, q);
  if (has_min) {
    for (int j = 0; j < 32; j++) out[j] = float(q[j]) * d + m;
  } else {
    for (int j = 0; j < 32; j++) out[j] = float(q[j] - 16) * d;
  }
}

// Sub-block `sub` of 8 of a q4_k or q5_k block.
static void unpack_k45(Format format, const uint8_t* block, int sub, float* out) {
  const uint8_t* s = block + 4;
  const int scale = sub < 4 ? s[sub] & 63 : (s[sub + 4] & 15) | (s[sub - 4] >> 6) << 4;
  const int min = sub < 4 ? s[sub + 4] & 63 : (s[sub + 4] >> 4) | (s[sub] >> 6) << 4;
  const float d = f16_at(block) * float(scale), m = f16_at(block + 2) * float(min);
  const uint8_t* high = block + 16;
  const uint8_t* q = block + (format == Format::q5_k ? 48 : 16) + sub / 2 * 32;
  const int shift = sub % 2 * 4;
  if (format == Format::q5_k) {
    for (int l = 0; l < 32; l++) out[l] = d * float(((q[l] >> shift) & 15) | ((high[l] >> sub) & 1) << 4) - m;
  } else {
    for (int l = 0; l < 32; l++) out[l] = d * float((q[l] >> shift) & 15) - m;
  }
}

// Group `sub` of 8 of a q6_k block: two scales of 16 elements each.
static void unpack_k6(const uint8_t* block, int sub, float* out) {
  const int half = sub / 4, group = sub % 4;
  const uint8_t* low = block + 64 * half + 32 * (group % 2);
  const uint8_t* high = block + 128 + 32 * half;
  const int8_t* scales = (const int8_t*)block + 192 + 8 * half + 2 * group;
  const float d = f16_at(block + 208);
  const int low_shift = group / 2 * 4, high_shift = 2 * group;
  for (int part = 0; part < 2; part++) {
    const float scale = d * float(scales[part]);
    for (int l = 16 * part; l < 16 * part + 16; l++) {
      const int q = ((low[l] >> low_shift) & 15) | ((high[l] >> high_shift) & 3) << 4;
      out[l] = scale * float(q - 32);
    }
  }
}

static void unpack_q8(const uint8_t* block, float* out) {
  const float d = f16_at(block);
  for (int j = 0; j < 32; j++) out[j] = float(int8_t(block[2 + j])) * d;
}

static void unpack_q4(const uint8_t* block, float* out) {
  const float d = f16_at(block);
  int32_t q[32];
  unpack_nibbles(block + 2, 0, q);
  for (int j = 0; j < 32; j++) out[j] = float(q[j] - 8) * d;
}

// Elements 32 * sub .. 32 * sub + 31 of a row.
static void unpack_32(Format format, const uint8_t* row, int64_t sub, float* out) {
  const BlockLayout layout = block_layout(format);
  const int64_t per_block = layout.elements / 32;
  const uint8_t* block = row + sub / per_block * layout.bytes;
  const int in_block = int(sub % per_block);
  switch (format) {
    case Format::q8_0: return unpack_q8(block, out);
    case Format::q4_0: return unpack_q4(block, out);
    case Format::q4_1: case Format::q5_0: case Format::q5_1: return unpack_small(format, block, out);
    case Format::q4_k: case Format::q5_k: return unpack_k45(format, block, in_block, out);
    case Format::q6_k: return unpack_k6(block, in_block, out);
    default: return;  // no blocks
  }
}

// Inputs begin .. begin + count - 1 of one output; of block formats, multiples of 32.
template <class T>
static void widen(const uint8_t* row, int64_t begin, int64_t count, float* out) {
  const T* from = (const T*)row + begin;
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) store(out + i, load_as_float(from + i));
  if (i < count) store_part(out + i, load_part_as_float(from + i, int(count - i)), int(count - i));
}

static void widen_row(const Weights& m, int64_t output, int64_t begin, int64_t count, float* out) {
  const uint8_t* row = m.data + output * bytes_per_row(m.format, m.inputs);
  switch (m.format) {
    case Format::f32: return widen<float>(row, begin, count, out);
    case Format::f16: return widen<F16>(row, begin, count, out);
    case Format::bf16: return widen<Bf16>(row, begin, count, out);
    default:
      for (int64_t i = 0; i < count; i += quant_block) unpack_32(m.format, row, (begin + i) / quant_block, out + i);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
