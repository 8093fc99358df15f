// Weights in GGUF's block formats, as they lie in a file, brought into the form that products take: of 16 neighbouring
// outputs (a panel) the same block of 32 inputs, output beside output in the lanes of a vector.
//
// What the formats hold is explained in src/weights/blocks.ts and packed.ts. A value is (q - zero) scale - min.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// A panel's blocks, in scratch.
struct LaneBlocks {
  uint8_t* quants;  // [block][8 groups of 4 inputs][16 outputs][4]
  float* scales;    // [block][16 outputs]
  float* eighths;   // [block][16 outputs]: min / 8, to meet -8 * the sum of activations
  int32_t* inner;   // [block][2 halves of 16 inputs][16 outputs]: whole-number scales, as scale_of makes them
};

constexpr int64_t group_bytes = panel_outputs * 4, lane_block_bytes = 8 * group_bytes;

// One vector's worth of a panel's outputs: where each of the rows begins in the file, and which of the 16 is the first.
struct LaneRows {
  const uint8_t* const* rows;
  int part;
};

LODESTONE_INLINE void put_group(const LaneBlocks& to, int64_t block, int group, int part, B w) {
  store_bytes(to.quants + block * lane_block_bytes + group * group_bytes + part * 4, w);
}
LODESTONE_INLINE void put_scale(const LaneBlocks& to, int64_t block, int part, F scale) { store(to.scales + block * panel_outputs + part, scale); }
LODESTONE_INLINE void put_min(const LaneBlocks& to, int64_t block, int part, F min) { store(to.eighths + block * panel_outputs + part, min * set(0.125f)); }
LODESTONE_INLINE void put_inner(const LaneBlocks& to, int64_t block, int half, int part, I scale) {
  store_bytes(to.inner + (2 * block + half) * panel_outputs + part, as_bytes(scale_of(scale)));
}

// 32 bytes of every row.
LODESTONE_INLINE void transpose32(const uint8_t* const* rows, int64_t at, B (&w)[8]) {
  B half[4];
  for (int h = 0; h < 2; h++) {
    transpose16(rows, at + 16 * h, half);
    for (int g = 0; g < 4; g++) w[4 * h + g] = half[g];
  }
}

// Bit N of each byte as bit 4, all others 0.
template <int N>
LODESTONE_INLINE B fifth_bit(B a) {
  const B bit = and_bits(a, bytes_of(1 << N));
  if constexpr (N <= 4) return left<4 - N>(bit);
  else return right<N - 4>(bit);
}

// How the products of a format are summed.
enum class Sum {
  whole,   // int8 weights: each product into 32 bits at once
  chains,  // weights below 16 or 32: `steps` groups before they are added up
  halves,  // weights below 64 with a whole-number scale for each half of the block
};

struct LanesQ8 {
  static constexpr Sum sum = Sum::whole;
  static constexpr int zero = q8_zero, steps = 8;
  static constexpr bool has_min = false;
  static void bring(const LaneRows& from, int64_t first, int64_t count, const LaneBlocks& to) {
    for (int64_t b = 0; b < count; b++) {
      const int64_t at = (first + b) * 34;
      B head[4], w[8];
      transpose16(from.rows, at, head);
      transpose32(from.rows, at + 2, w);
      put_scale(to, b, from.part, low_halves(head[0]));
      for (int g = 0; g < 8; g++) put_group(to, b, g, from.part, q8_zero ? xor_bits(w[g], bytes_of(0x80)) : w[g]);
    }
  }
};

// Bits 4 g .. 4 g + 3 of each word as bit 4 of its four bytes.
template <int G>
LODESTONE_INLINE B spread_bits(B word) {
  const B four = and_bits(right<4 * G>(word), as_bytes(set_int(15)));
  return left<4>(and_bits(times(four, 0x00204081), bytes_of(1)));
}

// q4_0, q4_1, q5_0, q5_1: d, of those in _1 the min (negated), of q5 a word of fifth bits, then nibbles.
template <bool HasMin, bool Five>
struct LanesSmall {
  static constexpr Sum sum = Sum::chains;
  static constexpr int zero = HasMin ? 0 : Five ? 16 : 8, steps = Five ? 4 : 8;
  static constexpr bool has_min = HasMin;
  static void bring(const LaneRows& from, int64_t first, int64_t count, const LaneBlocks& to) {
    constexpr int64_t head_bytes = (HasMin ? 4 : 2) + (Five ? 4 : 0);
    const int part = from.part;
    for (int64_t b = 0; b < count; b++) {
      const int64_t at = (first + b) * (head_bytes + 16);
      B head[4], w[4];
      transpose16(from.rows, at, head);
      transpose16(from.rows, at + head_bytes, w);
      put_scale(to, b, part, low_halves(head[0]));
      if (HasMin) put_min(to, b, part, set(0.0f) - low_halves(right<16>(head[0])));
      B q[8];
      for (int g = 0; g < 4; g++) {
        q[g] = low_nibbles(w[g]);
        q[g + 4] = high_nibbles(w[g]);
      }
      if constexpr (Five) {
        const B word = HasMin ? head[1] : or_bits(right<16>(head[0]), left<16>(head[1]));
        q[0] = or_bits(q[0], spread_bits<0>(word));
        q[1] = or_bits(q[1], spread_bits<1>(word));
        q[2] = or_bits(q[2], spread_bits<2>(word));
        q[3] = or_bits(q[3], spread_bits<3>(word));
        q[4] = or_bits(q[4], spread_bits<4>(word));
        q[5] = or_bits(q[5], spread_bits<5>(word));
        q[6] = or_bits(q[6], spread_bits<6>(word));
        q[7] = or_bits(q[7], spread_bits<7>(word));
      }
      for (int g = 0; g < 8; g++) put_group(to, b, g, part, q[g]);
    }
  }
};

// q4_k and q5_k.
template <bool Five>
struct LanesK45 {
  static constexpr Sum sum = Sum::chains;
  static constexpr int zero = 0, steps = Five ? 4 : 8;
  static constexpr bool has_min = true;

  static void bring(const LaneRows& from, int64_t first, int64_t count, const LaneBlocks& to) {
    constexpr int64_t bytes = Five ? 176 : 144;
    for (int64_t b = 0; b < count; b += 8) {
      const int64_t at = (first + b) / 8 * bytes;
      B head[4];
      transpose16(from.rows, at, head);
      const F d = low_halves(head[0]), dmin = low_halves(right<16>(head[0]));
      const B six = bytes_of(63), four = bytes_of(15), two = bytes_of(3);
      const B scales[2] = {and_bits(head[1], six), or_bits(and_bits(head[3], four), left<4>(and_bits(right<6>(head[1]), two)))};
      const B mins[2] = {and_bits(head[2], six), or_bits(and_bits(right<4>(head[3]), four), left<4>(and_bits(right<6>(head[2]), two)))};
      for (int i = 0; i < 2; i++) {
        put_four(from.part, b + 4 * i, d, scales[i], dmin, mins[i], to);
      }
      B high[8];
      if constexpr (Five) transpose32(from.rows, at + 16, high);
      const int64_t quants = at + (Five ? 48 : 16);
      put_pair<0>(from, quants, high, b, to);
      put_pair<2>(from, quants + 32, high, b, to);
      put_pair<4>(from, quants + 64, high, b, to);
      put_pair<6>(from, quants + 96, high, b, to);
    }
  }

 private:
  LODESTONE_INLINE_METHOD static void put_four(int part, int64_t block, F d, B scales, F dmin, B mins, const LaneBlocks& to) {
    put_scale(to, block, part, d * to_float(unsigned_byte<0>(scales)));
    put_scale(to, block + 1, part, d * to_float(unsigned_byte<1>(scales)));
    put_scale(to, block + 2, part, d * to_float(unsigned_byte<2>(scales)));
    put_scale(to, block + 3, part, d * to_float(unsigned_byte<3>(scales)));
    put_min(to, block, part, dmin * to_float(unsigned_byte<0>(mins)));
    put_min(to, block + 1, part, dmin * to_float(unsigned_byte<1>(mins)));
    put_min(to, block + 2, part, dmin * to_float(unsigned_byte<2>(mins)));
    put_min(to, block + 3, part, dmin * to_float(unsigned_byte<3>(mins)));
  }
  // Sub-blocks Sub and Sub + 1.
  template <int Sub>
  LODESTONE_INLINE_METHOD static void put_pair(const LaneRows& from, int64_t quants, const B (&high)[8], int64_t b, const LaneBlocks& to) {
    B w[8];
    transpose32(from.rows, quants, w);
    for (int g = 0; g < 8; g++) {
      B low = low_nibbles(w[g]), top = high_nibbles(w[g]);
      if constexpr (Five) {
        low = or_bits(low, fifth_bit<Sub>(high[g]));
        top = or_bits(top, fifth_bit<Sub + 1>(high[g]));
      }
      put_group(to, b + Sub, g, from.part, low);
      put_group(to, b + Sub + 1, g, from.part, top);
    }
  }
};

struct LanesQ6K {
  static constexpr Sum sum = Sum::halves;
  static constexpr int zero = 32, steps = 2;
  static constexpr bool has_min = false;

  static void bring(const LaneRows& from, int64_t first, int64_t count, const LaneBlocks& to) {
    const int part = from.part;
    for (int64_t b = 0; b < count; b += 8) {
      const int64_t at = (first + b) / 8 * 210;
      B scales[4], last[4];
      transpose16(from.rows, at + 192, scales);
      transpose16(from.rows, at + 194, last);
      const F d = low_halves(right<16>(last[3]));
      for (int i = 0; i < 4; i++) {
        put_scale(to, b + 2 * i, part, d);
        put_scale(to, b + 2 * i + 1, part, d);
        put_inner(to, b + 2 * i, 0, part, signed_byte<0>(scales[i]));
        put_inner(to, b + 2 * i, 1, part, signed_byte<1>(scales[i]));
        put_inner(to, b + 2 * i + 1, 0, part, signed_byte<2>(scales[i]));
        put_inner(to, b + 2 * i + 1, 1, part, signed_byte<3>(scales[i]));
      }
      for (int half = 0; half < 2; half++) {
        B low[2][8], high[8];
        transpose32(from.rows, at + 64 * half, low[0]);
        transpose32(from.rows, at + 64 * half + 32, low[1]);
        transpose32(from.rows, at + 128 + 32 * half, high);
        for (int g = 0; g < 8; g++) {
          const B h = high[g];
          put_group(to, b + 4 * half, g, part, or_bits(low_nibbles(low[0][g]), left<4>(and_bits(h, bytes_of(0x03)))));
          put_group(to, b + 4 * half + 1, g, part, or_bits(low_nibbles(low[1][g]), left<2>(and_bits(h, bytes_of(0x0c)))));
          put_group(to, b + 4 * half + 2, g, part, or_bits(high_nibbles(low[0][g]), and_bits(h, bytes_of(0x30))));
          put_group(to, b + 4 * half + 3, g, part, or_bits(high_nibbles(low[1][g]), right<2>(and_bits(h, bytes_of(0xc0)))));
        }
      }
    }
  }
};

}  // namespace LODESTONE_ISA
}  // namespace lodestone
