// Weights in GGUF's block formats, as they lie in a file, brought into the form that products take: of 16 neighbouring
// outputs (a panel) the same block of 32 inputs, output beside output in the lanes of a vector.
//
// What the formats hold is explained in src/weights/blocks.ts and packed.ts. A value is (q - zero) scale - min.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// A block of `lanes` neighbouring outputs, in registers. A format fills what it has.
struct LaneBlock {
  B quants[8];                            // 4 inputs of every output each
  F scale;
  F min = zero();
  I inner[2] = {set_int(0), set_int(0)};  // whole-number scales of each half of the block
};

// Blocks of a whole panel, in scratch.
struct LaneBlocks {
  uint8_t* quants;  // [block][8 groups of 4 inputs][16 outputs][4]
  float* scales;    // [block][16 outputs]
  float* eighths;   // [block][16 outputs]: min / 8, to meet -8 * the sum of activations
  int32_t* inner;   // [block][2 halves of 16 inputs][16 outputs]: whole-number scales, as scale_of makes them
};

constexpr int64_t group_bytes = panel_outputs * 4, lane_block_bytes = 8 * group_bytes;

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

// Each format says how many blocks lie together in how many bytes, and makes of those of `lanes` rows, which begin at byte
// `at` of each, blocks in lanes: body(index, block), in their order.
struct LanesQ8 {
  static constexpr Sum sum = Sum::whole;
  static constexpr int zero = q8_zero, steps = 8;
  static constexpr bool has_min = false;
  static constexpr int64_t blocks = 1, bytes = 34;
  template <class Body>
  LODESTONE_INLINE_METHOD static void each(const uint8_t* const* rows, int64_t at, Body body) {
    LaneBlock block;
    transpose32(rows, at + 2, block.quants);
    block.scale = halves_of(rows, at);
    if constexpr (q8_zero) {
      for (B& q : block.quants) q = xor_bits(q, bytes_of(q8_zero));
    }
    body(0, block);
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
  static constexpr int64_t blocks = 1, head_bytes = (HasMin ? 4 : 2) + (Five ? 4 : 0), bytes = head_bytes + 16;
  template <class Body>
  LODESTONE_INLINE_METHOD static void each(const uint8_t* const* rows, int64_t at, Body body) {
    B head[4], w[4];
    LaneBlock block;
    if constexpr (HasMin || Five) transpose16(rows, at, head);
    transpose16(rows, at + head_bytes, w);
    block.scale = HasMin || Five ? low_halves(head[0]) : halves_of(rows, at);
    if constexpr (HasMin) block.min = set(0.0f) - low_halves(right<16>(head[0]));
    B(&q)[8] = block.quants;
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
    body(0, block);
  }
};

// q4_k and q5_k.
template <bool Five>
struct LanesK45 {
  static constexpr Sum sum = Sum::chains;
  static constexpr int zero = 0, steps = Five ? 4 : 8;
  static constexpr bool has_min = true;
  static constexpr int64_t blocks = 8, bytes = Five ? 176 : 144;

  template <class Body>
  LODESTONE_INLINE_METHOD static void each(const uint8_t* const* rows, int64_t at, Body body) {
    B head[4];
    transpose16(rows, at, head);
    const F d = low_halves(head[0]), dmin = low_halves(right<16>(head[0]));
    const B six = bytes_of(63), four = bytes_of(15), two = bytes_of(3);
    const B scales[2] = {and_bits(head[1], six), or_bits(and_bits(head[3], four), left<4>(and_bits(right<6>(head[1]), two)))};
    const B mins[2] = {and_bits(head[2], six), or_bits(and_bits(right<4>(head[3]), four), left<4>(and_bits(right<6>(head[2]), two)))};
    B high[8];
    if constexpr (Five) transpose32(rows, at + 16, high);
    // Sub-blocks Sub and Sub + 1.
    const auto pair = [&]<int Sub>() __attribute__((always_inline)) {
      B w[8];
      transpose32(rows, at + (Five ? 48 : 16) + 16 * Sub, w);
      LaneBlock low, top;
      for (int g = 0; g < 8; g++) {
        low.quants[g] = low_nibbles(w[g]);
        top.quants[g] = high_nibbles(w[g]);
        if constexpr (Five) {
          low.quants[g] = or_bits(low.quants[g], fifth_bit<Sub>(high[g]));
          top.quants[g] = or_bits(top.quants[g], fifth_bit<Sub + 1>(high[g]));
        }
      }
      low.scale = d * to_float(unsigned_byte<Sub % 4>(scales[Sub / 4]));
      low.min = dmin * to_float(unsigned_byte<Sub % 4>(mins[Sub / 4]));
      top.scale = d * to_float(unsigned_byte<Sub % 4 + 1>(scales[Sub / 4]));
      top.min = dmin * to_float(unsigned_byte<Sub % 4 + 1>(mins[Sub / 4]));
      body(Sub, low);
      body(Sub + 1, top);
    };
    pair.template operator()<0>();
    pair.template operator()<2>();
    pair.template operator()<4>();
    pair.template operator()<6>();
  }
};

struct LanesQ6K {
  static constexpr Sum sum = Sum::halves;
  static constexpr int zero = 32, steps = 2;
  static constexpr bool has_min = false;
  static constexpr int64_t blocks = 8, bytes = 210;

  template <class Body>
  LODESTONE_INLINE_METHOD static void each(const uint8_t* const* rows, int64_t at, Body body) {
    B scales[4];
    transpose16(rows, at + 192, scales);
    const F d = halves_of(rows, at + 208);
    // Of the four blocks of a half, the first two have the low nibbles, the last two the high ones.
    const auto half = [&]<int Half>() __attribute__((always_inline)) {
      B low[2][8], high[8];
      transpose32(rows, at + 64 * Half, low[0]);
      transpose32(rows, at + 64 * Half + 32, low[1]);
      transpose32(rows, at + 128 + 32 * Half, high);
      const auto one = [&]<int N>() __attribute__((always_inline)) {
        LaneBlock block;
        for (int g = 0; g < 8; g++) {
          const B four = N < 2 ? low_nibbles(low[N % 2][g]) : high_nibbles(low[N % 2][g]);
          const B two = and_bits(high[g], bytes_of(3 << 2 * N));
          block.quants[g] = or_bits(four, N < 2 ? left<N < 2 ? 4 - 2 * N : 0>(two) : right<N < 2 ? 0 : 2 * N - 4>(two));
        }
        block.scale = d;
        const B pair = scales[2 * Half + N / 2];
        block.inner[0] = scale_of(signed_byte<N % 2 * 2>(pair));
        block.inner[1] = scale_of(signed_byte<N % 2 * 2 + 1>(pair));
        body(4 * Half + N, block);
      };
      one.template operator()<0>();
      one.template operator()<1>();
      one.template operator()<2>();
      one.template operator()<3>();
    };
    half.template operator()<0>();
    half.template operator()<1>();
  }
};

// Blocks first .. first + count - 1 of the `lanes` outputs of a panel from `part` on.
template <class Q>
static void bring(const uint8_t* const* rows, int part, int64_t first, int64_t count, const LaneBlocks& to) {
  for (int64_t b = 0; b < count; b += Q::blocks) {
    Q::each(rows + part, (first + b) / Q::blocks * Q::bytes, [&](int index, const LaneBlock& block) __attribute__((always_inline)) {
      const int64_t at = b + index;
      for (int g = 0; g < 8; g++) store_bytes(to.quants + at * lane_block_bytes + g * group_bytes + part * 4, block.quants[g]);
      store(to.scales + at * panel_outputs + part, block.scale);
      if constexpr (Q::has_min) store(to.eighths + at * panel_outputs + part, block.min * set(0.125f));
      if constexpr (Q::sum == Sum::halves) {
        for (int half = 0; half < 2; half++) store_bytes(to.inner + (2 * at + half) * panel_outputs + part, as_bytes(block.inner[half]));
      }
    });
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
