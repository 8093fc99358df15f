// The SIMD vocabulary the kernels are written in, once; this file says what each word means on each instruction set.
//
// Every kernel file is compiled once per instruction set with its own flags, inside namespace lodestone::LODESTONE_ISA,
// so that no symbol of one variant can be taken by the linker for another. For the same reason nothing here or in the
// kernels includes a C++ library header with inline code.
//
// Words: F = vector of `lanes` floats, I = of `lanes` int32, B = the same register as 4 * lanes bytes, M = lane mask.
// Contraction is off (-ffp-contract=off): a multiply-add happens where the code says fma, and nowhere else.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(LODESTONE_ISA_AVXVNNI)
#define LODESTONE_ISA_AVX2  // and one instruction more
#endif
#if defined(LODESTONE_ISA_AVX512) || defined(LODESTONE_ISA_AVX2)
#include <immintrin.h>
#elif defined(LODESTONE_ISA_NEON)
#include <arm_neon.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LODESTONE_INLINE static inline __attribute__((always_inline, unused))
#define LODESTONE_INLINE_METHOD inline __attribute__((always_inline))

namespace lodestone {
namespace LODESTONE_ISA {

// ---------------------------------------------------------------------------------------------- scalar conversions

LODESTONE_INLINE float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

LODESTONE_INLINE uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}

LODESTONE_INLINE float float_of_bf16(uint16_t bits) { return float_of_bits(uint32_t(bits) << 16); }

// Shifting a half's exponent and mantissa into a float's place leaves the exponent 112 too small; multiplying by 2^112
// mends that for normal and subnormal numbers alike. Infinity and NaN need their exponent filled.
LODESTONE_INLINE float float_of_f16(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  const uint32_t rest = uint32_t(half & 0x7fff);
  if (rest >= 0x7c00) return float_of_bits(sign | 0x7f800000 | ((rest & 0x3ff) << 13));
  const float value = float_of_bits(rest << 13) * float_of_bits(0x77800000);
  return float_of_bits(sign | bits_of_float(value));
}

// Round to nearest even. Adding and taking away a number whose last place is the half's last place does the rounding.
LODESTONE_INLINE uint16_t f16_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  const uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return uint16_t(sign | 0x7e00);
  if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);
  if (magnitude < 0x38800000) {  // subnormal half: its last place is 2^-24, that of the float 0.5
    const float rounded = float_of_bits(magnitude) + 0.5f;
    return uint16_t(sign | (bits_of_float(rounded) - bits_of_float(0.5f)));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

// The f16 number at byte `at` of each of eight rows. Inserted one by one: to bring 16 bytes of every row into lanes for it
// takes twice as many instructions.
#if defined(LODESTONE_ISA_AVX512) || defined(LODESTONE_ISA_AVX2)
LODESTONE_INLINE __m128i eight_halves(const uint8_t* const* rows, int64_t at) {
  const auto half = [&](int r) __attribute__((always_inline)) {
    int16_t bits;
    memcpy(&bits, rows[r] + at, 2);
    return bits;
  };
  __m128i halves = _mm_cvtsi32_si128(half(0));
  halves = _mm_insert_epi16(halves, half(1), 1);
  halves = _mm_insert_epi16(halves, half(2), 2);
  halves = _mm_insert_epi16(halves, half(3), 3);
  halves = _mm_insert_epi16(halves, half(4), 4);
  halves = _mm_insert_epi16(halves, half(5), 5);
  halves = _mm_insert_epi16(halves, half(6), 6);
  return _mm_insert_epi16(halves, half(7), 7);
}
#endif

// ---------------------------------------------------------------------------------------------------- AVX-512
#if defined(LODESTONE_ISA_AVX512)

constexpr int lanes = 16;
using F = __m512;
using I = __m512i;
using B = __m512i;
using M = __mmask16;
constexpr int int8_rows = 8, int8_vectors = 1;  // register tile of products with quantised weights
constexpr int gemm_rows = 6, gemm_vectors = 4;  // register tile of the attention's products
constexpr int dense_rows = 4, dense_outputs = 6;  // register tile of products with f32, f16 and bf16 weights
constexpr int q8_zero = 128;  // vpdpbusd wants the weights unsigned

LODESTONE_INLINE F zero() { return _mm512_setzero_ps(); }
LODESTONE_INLINE F set(float a) { return _mm512_set1_ps(a); }
LODESTONE_INLINE F load(const float* p) { return _mm512_loadu_ps(p); }
LODESTONE_INLINE void store(float* p, F a) { _mm512_storeu_ps(p, a); }
LODESTONE_INLINE M first_lanes(int n) { return M((1u << n) - 1); }
LODESTONE_INLINE F load_part(const float* p, int n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
LODESTONE_INLINE void store_part(float* p, F a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n), a); }
LODESTONE_INLINE F widen_bf16(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
LODESTONE_INLINE F load_bf16(const uint16_t* p) { return widen_bf16(_mm256_loadu_si256((const __m256i*)p)); }
LODESTONE_INLINE F load_f16(const uint16_t* p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p)); }
LODESTONE_INLINE void store_f16(uint16_t* p, F a) {
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
LODESTONE_INLINE F load_int8(const int8_t* p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)p))); }
LODESTONE_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
LODESTONE_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }
LODESTONE_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }
LODESTONE_INLINE F abs(F a) { return _mm512_abs_ps(a); }
LODESTONE_INLINE F round_even(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
LODESTONE_INLINE I to_int(F a) { return _mm512_cvtps_epi32(a); }
LODESTONE_INLINE F to_float(I a) { return _mm512_cvtepi32_ps(a); }
LODESTONE_INLINE F power_of_two(I n) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23)); }
LODESTONE_INLINE M less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
LODESTONE_INLINE F select(M m, F a, F b) { return _mm512_mask_blend_ps(m, b, a); }
LODESTONE_INLINE F iota() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
LODESTONE_INLINE I set_int(int32_t a) { return _mm512_set1_epi32(a); }
LODESTONE_INLINE B load_bytes(const void* p) { return _mm512_loadu_si512(p); }
LODESTONE_INLINE B broadcast4(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm512_set1_epi32(four);
}
// acc[lane] += the four products of that lane's weight and activation bytes.
LODESTONE_INLINE I dot(I acc, B weights, B activations) { return _mm512_dpbusd_epi32(acc, weights, activations); }
// Weights of few bits: sums of products that still have to be added up (here they are), see AVX2.
using P = __m512i;
LODESTONE_INLINE P no_products() { return _mm512_setzero_si512(); }
LODESTONE_INLINE P add_products(P acc, B weights, B activations) { return _mm512_dpbusd_epi32(acc, weights, activations); }
LODESTONE_INLINE I add_up(I acc, P products) { return _mm512_add_epi32(acc, products); }
LODESTONE_INLINE I add_scaled(I acc, P products, I scales) { return _mm512_add_epi32(acc, _mm512_mullo_epi32(products, scales)); }
LODESTONE_INLINE P twice(int16_t a) { return _mm512_set1_epi32(2 * a); }
LODESTONE_INLINE I scale_of(I a) { return a; }
// 32-bit words.
LODESTONE_INLINE B and_bits(B a, B b) { return _mm512_and_si512(a, b); }
LODESTONE_INLINE B or_bits(B a, B b) { return _mm512_or_si512(a, b); }
LODESTONE_INLINE B xor_bits(B a, B b) { return _mm512_xor_si512(a, b); }
LODESTONE_INLINE B bytes_of(uint8_t a) { return _mm512_set1_epi8(char(a)); }
template <int N> LODESTONE_INLINE B left(B a) { return _mm512_slli_epi32(a, N); }
template <int N> LODESTONE_INLINE B right(B a) { return _mm512_srli_epi32(a, N); }
template <int N> LODESTONE_INLINE B signed_right(B a) { return _mm512_srai_epi32(a, N); }
LODESTONE_INLINE B times(B a, int32_t b) { return _mm512_mullo_epi32(a, _mm512_set1_epi32(b)); }
LODESTONE_INLINE I as_int(B a) { return a; }
LODESTONE_INLINE B as_bytes(I a) { return a; }
LODESTONE_INLINE void store_bytes(void* p, B a) { _mm512_storeu_si512(p, a); }
// The f16 number in the low half of each word.
LODESTONE_INLINE F low_halves(B a) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(a)); }
// The f16 number at byte `at` of each of `lanes` rows.
LODESTONE_INLINE F halves_of(const uint8_t* const* rows, int64_t at) {
  return _mm512_cvtph_ps(_mm256_set_m128i(eight_halves(rows + 8, at), eight_halves(rows, at)));
}
// 16 bytes of `lanes` rows, from byte `at` of each: w[i] holds every row's bytes 4 i .. 4 i + 3.
LODESTONE_INLINE void transpose16(const uint8_t* const* rows, int64_t at, B (&w)[4]) {
  __m512i m[4];
  for (int i = 0; i < 4; i++) {
    auto row = [&](int r) { return _mm_loadu_si128((const __m128i*)(rows[r] + at)); };
    m[i] = _mm512_castsi128_si512(row(i));
    m[i] = _mm512_inserti32x4(m[i], row(4 + i), 1);
    m[i] = _mm512_inserti32x4(m[i], row(8 + i), 2);
    m[i] = _mm512_inserti32x4(m[i], row(12 + i), 3);
  }
  const __m512i a = _mm512_unpacklo_epi32(m[0], m[1]), b = _mm512_unpackhi_epi32(m[0], m[1]);
  const __m512i c = _mm512_unpacklo_epi32(m[2], m[3]), d = _mm512_unpackhi_epi32(m[2], m[3]);
  w[0] = _mm512_unpacklo_epi64(a, c);
  w[1] = _mm512_unpackhi_epi64(a, c);
  w[2] = _mm512_unpacklo_epi64(b, d);
  w[3] = _mm512_unpackhi_epi64(b, d);
}
LODESTONE_INLINE void store_int8(int8_t* p, F a) { _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(to_int(a))); }
LODESTONE_INLINE void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }

LODESTONE_INLINE float sum(F a) {
  const __m256 b = _mm512_castps512_ps256(a) + _mm512_extractf32x8_ps(a, 1);
  __m128 c = _mm256_castps256_ps128(b) + _mm256_extractf128_ps(b, 1);
  c = c + _mm_movehl_ps(c, c);
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
// Eight sums at once, each added up in the same order as by `sum`.
#define LODESTONE_HAS_SUM8
LODESTONE_INLINE F half_sums(F a, F b) { return _mm512_shuffle_f32x4(a, b, 0x44) + _mm512_shuffle_f32x4(a, b, 0xee); }
LODESTONE_INLINE F quarter_sums(F ab, F cd) { return _mm512_shuffle_f32x4(ab, cd, 0x88) + _mm512_shuffle_f32x4(ab, cd, 0xdd); }
LODESTONE_INLINE void sum8(const F* a, float* out) {
  const __m512d low = _mm512_castps_pd(quarter_sums(half_sums(a[0], a[1]), half_sums(a[2], a[3])));
  const __m512d high = _mm512_castps_pd(quarter_sums(half_sums(a[4], a[5]), half_sums(a[6], a[7])));
  const F pairs = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high)) + _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
  float t[16];
  store(t, pairs + _mm512_permute_ps(pairs, 0xb1));
  for (int i = 0; i < 4; i++) {
    out[i] = t[4 * i];
    out[4 + i] = t[4 * i + 2];
  }
}
LODESTONE_INLINE float max_of(F a) {
  const __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
  __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
  c = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
LODESTONE_INLINE void transpose(F (&m)[16]) {
  F t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(m[i], m[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(m[i], m[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      const __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + 2 + j]);
      m[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      m[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  // m[4q + c] now holds, in each quarter k, column 4k + c of rows 4q .. 4q + 3.
  for (int c = 0; c < 4; c++) {
    t[c] = _mm512_shuffle_f32x4(m[c], m[4 + c], 0x88);
    t[4 + c] = _mm512_shuffle_f32x4(m[c], m[4 + c], 0xdd);
    t[8 + c] = _mm512_shuffle_f32x4(m[8 + c], m[12 + c], 0x88);
    t[12 + c] = _mm512_shuffle_f32x4(m[8 + c], m[12 + c], 0xdd);
  }
  for (int c = 0; c < 4; c++) {
    m[c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0x88);
    m[8 + c] = _mm512_shuffle_f32x4(t[c], t[8 + c], 0xdd);
    m[4 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0x88);
    m[12 + c] = _mm512_shuffle_f32x4(t[4 + c], t[12 + c], 0xdd);
  }
}

// ------------------------------------------------------------------------------- AVX2, with or without AVX-VNNI
#elif defined(LODESTONE_ISA_AVX2)

constexpr int lanes = 8;
using F = __m256;
using I = __m256i;
using B = __m256i;
using M = __m256;
constexpr int int8_rows = 4, int8_vectors = 2;
constexpr int gemm_rows = 6, gemm_vectors = 2;
constexpr int dense_rows = 3, dense_outputs = 4;
#if defined(LODESTONE_ISA_AVXVNNI)
constexpr int q8_zero = 128;  // vpdpbusd wants the weights unsigned
#else
constexpr int q8_zero = 0;
#endif

LODESTONE_INLINE F zero() { return _mm256_setzero_ps(); }
LODESTONE_INLINE F set(float a) { return _mm256_set1_ps(a); }
LODESTONE_INLINE F load(const float* p) { return _mm256_loadu_ps(p); }
LODESTONE_INLINE void store(float* p, F a) { _mm256_storeu_ps(p, a); }
LODESTONE_INLINE __m256i first_lanes(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
LODESTONE_INLINE F load_part(const float* p, int n) { return _mm256_maskload_ps(p, first_lanes(n)); }
LODESTONE_INLINE void store_part(float* p, F a, int n) { _mm256_maskstore_ps(p, first_lanes(n), a); }
LODESTONE_INLINE F load_bf16(const uint16_t* p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p)), 16));
}
LODESTONE_INLINE F load_f16(const uint16_t* p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)); }
LODESTONE_INLINE void store_f16(uint16_t* p, F a) {
  _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
LODESTONE_INLINE F load_int8(const int8_t* p) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p))); }
LODESTONE_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
LODESTONE_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }
LODESTONE_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }
LODESTONE_INLINE F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
LODESTONE_INLINE F round_even(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
LODESTONE_INLINE I to_int(F a) { return _mm256_cvtps_epi32(a); }
LODESTONE_INLINE F to_float(I a) { return _mm256_cvtepi32_ps(a); }
LODESTONE_INLINE F power_of_two(I n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }
LODESTONE_INLINE M less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
LODESTONE_INLINE F select(M m, F a, F b) { return _mm256_blendv_ps(b, a, m); }
LODESTONE_INLINE F iota() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
LODESTONE_INLINE I set_int(int32_t a) { return _mm256_set1_epi32(a); }
LODESTONE_INLINE B load_bytes(const void* p) { return _mm256_loadu_si256((const __m256i*)p); }
LODESTONE_INLINE B broadcast4(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return _mm256_set1_epi32(four);
}
// acc[lane] += the four products of that lane's weight and activation bytes.
#if defined(LODESTONE_ISA_AVXVNNI)
LODESTONE_INLINE I dot(I acc, B weights, B activations) { return _mm256_dpbusd_avx_epi32(acc, weights, activations); }
using P = __m256i;
LODESTONE_INLINE P no_products() { return _mm256_setzero_si256(); }
LODESTONE_INLINE P add_products(P acc, B weights, B activations) { return _mm256_dpbusd_avx_epi32(acc, weights, activations); }
LODESTONE_INLINE I add_up(I acc, P products) { return _mm256_add_epi32(acc, products); }
LODESTONE_INLINE I add_scaled(I acc, P products, I scales) { return _mm256_add_epi32(acc, _mm256_mullo_epi32(products, scales)); }
LODESTONE_INLINE P twice(int16_t a) { return _mm256_set1_epi32(2 * a); }
LODESTONE_INLINE I scale_of(I a) { return a; }
#else
// The sum as it is here and now: left to itself, GCC adds up many products later and in another order, for which the
// registers are too few.
LODESTONE_INLINE __m256i settled(__m256i sum) {
  __asm__("" : "+x"(sum));
  return sum;
}
// vpmaddubsw multiplies unsigned by signed bytes and saturates pair sums at 32767: |weight| <= 128 times the
// activation (|a| <= 127) with the weight's sign stays within 2 * 128 * 127 = 32512.
LODESTONE_INLINE I dot(I acc, B weights, B activations) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(activations, weights));
  return settled(_mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
}
// Weights of few bits: products are added as pairs of 16 bits, and those added up only where 16 bits might not hold more:
// of weights below 16, 32 and 64 after 8, 4 and 2 steps. A scale stands in both halves of its word, to meet both sums.
using P = __m256i;
LODESTONE_INLINE P no_products() { return _mm256_setzero_si256(); }
LODESTONE_INLINE P add_products(P acc, B weights, B activations) { return settled(_mm256_add_epi16(acc, _mm256_maddubs_epi16(weights, activations))); }
LODESTONE_INLINE I add_up(I acc, P products) { return _mm256_add_epi32(acc, _mm256_madd_epi16(products, _mm256_set1_epi16(1))); }
LODESTONE_INLINE I add_scaled(I acc, P products, I scales) { return _mm256_add_epi32(acc, _mm256_madd_epi16(products, scales)); }
LODESTONE_INLINE P twice(int16_t a) { return _mm256_set1_epi16(a); }
LODESTONE_INLINE I scale_of(I a) {
  const __m256i low = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
  return _mm256_or_si256(low, _mm256_slli_epi32(low, 16));
}
#endif
LODESTONE_INLINE B and_bits(B a, B b) { return _mm256_and_si256(a, b); }
LODESTONE_INLINE B or_bits(B a, B b) { return _mm256_or_si256(a, b); }
LODESTONE_INLINE B xor_bits(B a, B b) { return _mm256_xor_si256(a, b); }
LODESTONE_INLINE B bytes_of(uint8_t a) { return _mm256_set1_epi8(char(a)); }
template <int N> LODESTONE_INLINE B left(B a) { return _mm256_slli_epi32(a, N); }
template <int N> LODESTONE_INLINE B right(B a) { return _mm256_srli_epi32(a, N); }
template <int N> LODESTONE_INLINE B signed_right(B a) { return _mm256_srai_epi32(a, N); }
LODESTONE_INLINE B times(B a, int32_t b) { return _mm256_mullo_epi32(a, _mm256_set1_epi32(b)); }
LODESTONE_INLINE I as_int(B a) { return a; }
LODESTONE_INLINE B as_bytes(I a) { return a; }
LODESTONE_INLINE void store_bytes(void* p, B a) { _mm256_storeu_si256((__m256i*)p, a); }
LODESTONE_INLINE F low_halves(B a) {
  const __m256i low = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
  return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
LODESTONE_INLINE F halves_of(const uint8_t* const* rows, int64_t at) { return _mm256_cvtph_ps(eight_halves(rows, at)); }
LODESTONE_INLINE void transpose16(const uint8_t* const* rows, int64_t at, B (&w)[4]) {
  __m256i m[4];
  for (int i = 0; i < 4; i++) {
    auto row = [&](int r) { return _mm_loadu_si128((const __m128i*)(rows[r] + at)); };
    m[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(row(i)), row(4 + i), 1);
  }
  const __m256i a = _mm256_unpacklo_epi32(m[0], m[1]), b = _mm256_unpackhi_epi32(m[0], m[1]);
  const __m256i c = _mm256_unpacklo_epi32(m[2], m[3]), d = _mm256_unpackhi_epi32(m[2], m[3]);
  w[0] = _mm256_unpacklo_epi64(a, c);
  w[1] = _mm256_unpackhi_epi64(a, c);
  w[2] = _mm256_unpacklo_epi64(b, d);
  w[3] = _mm256_unpackhi_epi64(b, d);
}
LODESTONE_INLINE void store_int8(int8_t* p, F a) {
  const __m256i wide = to_int(a);
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64((__m128i*)p, _mm_packs_epi16(half, half));
}
LODESTONE_INLINE void prefetch(const void* p) { _mm_prefetch((const char*)p, _MM_HINT_T0); }

LODESTONE_INLINE float sum(F a) {
  __m128 c = _mm256_castps256_ps128(a) + _mm256_extractf128_ps(a, 1);
  c = c + _mm_movehl_ps(c, c);
  return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}
LODESTONE_INLINE float max_of(F a) {
  __m128 c = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  c = _mm_max_ps(c, _mm_movehl_ps(c, c));
  return _mm_cvtss_f32(_mm_max_ss(c, _mm_movehdup_ps(c)));
}
LODESTONE_INLINE void transpose(F (&m)[8]) {
  F t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; j++) {
      const __m256d a = _mm256_castps_pd(t[i + j]), b = _mm256_castps_pd(t[i + 2 + j]);
      m[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
      m[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
    }
  }
  for (int c = 0; c < 4; c++) {
    const F low = m[c], high = m[4 + c];
    m[c] = _mm256_permute2f128_ps(low, high, 0x20);
    m[4 + c] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}

// ------------------------------------------------------------------------------------------ NEON with dot products
#elif defined(LODESTONE_ISA_NEON)

constexpr int lanes = 4;
using F = float32x4_t;
using I = int32x4_t;
using B = int8x16_t;
using M = uint32x4_t;
constexpr int int8_rows = 4, int8_vectors = 2;
constexpr int gemm_rows = 6, gemm_vectors = 4;
constexpr int dense_rows = 4, dense_outputs = 4;
constexpr int q8_zero = 0;

LODESTONE_INLINE F zero() { return vdupq_n_f32(0); }
LODESTONE_INLINE F set(float a) { return vdupq_n_f32(a); }
LODESTONE_INLINE F load(const float* p) {  // through bytes: a mapped file may hold floats at any address
  return vreinterpretq_f32_u8(vld1q_u8((const uint8_t*)p));
}
LODESTONE_INLINE void store(float* p, F a) { vst1q_f32(p, a); }
LODESTONE_INLINE F load_part(const float* p, int n) {
  float t[4] = {0, 0, 0, 0};
  memcpy(t, p, size_t(n) * 4);
  return vld1q_f32(t);
}
LODESTONE_INLINE void store_part(float* p, F a, int n) {
  float t[4];
  vst1q_f32(t, a);
  memcpy(p, t, size_t(n) * 4);
}
LODESTONE_INLINE F load_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8((const uint8_t*)p)), 16)); }
LODESTONE_INLINE F load_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t*)p))); }
LODESTONE_INLINE void store_f16(uint16_t* p, F a) { vst1_u8((uint8_t*)p, vreinterpret_u8_f16(vcvt_f16_f32(a))); }
LODESTONE_INLINE F load_int8(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(uint64_t(uint32_t(four)))))));
}
LODESTONE_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }
LODESTONE_INLINE F max(F a, F b) { return vmaxq_f32(a, b); }
LODESTONE_INLINE F min(F a, F b) { return vminq_f32(a, b); }
LODESTONE_INLINE F abs(F a) { return vabsq_f32(a); }
LODESTONE_INLINE F round_even(F a) { return vrndnq_f32(a); }
LODESTONE_INLINE I to_int(F a) { return vcvtnq_s32_f32(a); }
LODESTONE_INLINE F to_float(I a) { return vcvtq_f32_s32(a); }
LODESTONE_INLINE F power_of_two(I n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
LODESTONE_INLINE M less(F a, F b) { return vcltq_f32(a, b); }
LODESTONE_INLINE F select(M m, F a, F b) { return vbslq_f32(m, a, b); }
LODESTONE_INLINE F iota() {
  const float t[4] = {0, 1, 2, 3};
  return vld1q_f32(t);
}
LODESTONE_INLINE I set_int(int32_t a) { return vdupq_n_s32(a); }
LODESTONE_INLINE B load_bytes(const void* p) { return vld1q_s8((const int8_t*)p); }
LODESTONE_INLINE B broadcast4(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(four));
}
LODESTONE_INLINE I dot(I acc, B weights, B activations) { return vdotq_s32(acc, weights, activations); }
using P = int32x4_t;
LODESTONE_INLINE P no_products() { return vdupq_n_s32(0); }
LODESTONE_INLINE P add_products(P acc, B weights, B activations) { return vdotq_s32(acc, weights, activations); }
LODESTONE_INLINE I add_up(I acc, P products) { return vaddq_s32(acc, products); }
LODESTONE_INLINE I add_scaled(I acc, P products, I scales) { return vmlaq_s32(acc, products, scales); }
LODESTONE_INLINE P twice(int16_t a) { return vdupq_n_s32(2 * a); }
LODESTONE_INLINE I scale_of(I a) { return a; }
LODESTONE_INLINE I as_int(B a) { return vreinterpretq_s32_s8(a); }
LODESTONE_INLINE B as_bytes(I a) { return vreinterpretq_s8_s32(a); }
LODESTONE_INLINE B and_bits(B a, B b) { return vandq_s8(a, b); }
LODESTONE_INLINE B or_bits(B a, B b) { return vorrq_s8(a, b); }
LODESTONE_INLINE B xor_bits(B a, B b) { return veorq_s8(a, b); }
LODESTONE_INLINE B bytes_of(uint8_t a) { return vdupq_n_s8(int8_t(a)); }
template <int N> LODESTONE_INLINE B left(B a) { return as_bytes(vshlq_n_s32(as_int(a), N)); }
template <int N> LODESTONE_INLINE B right(B a) {
  if constexpr (N == 0) return a;
  else return vreinterpretq_s8_u32(vshrq_n_u32(vreinterpretq_u32_s8(a), N));
}
template <int N> LODESTONE_INLINE B signed_right(B a) { return as_bytes(vshrq_n_s32(as_int(a), N)); }
LODESTONE_INLINE B times(B a, int32_t b) { return as_bytes(vmulq_n_s32(as_int(a), b)); }
LODESTONE_INLINE void store_bytes(void* p, B a) { vst1q_s8((int8_t*)p, a); }
LODESTONE_INLINE F low_halves(B a) { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(vreinterpretq_u32_s8(a)))); }
LODESTONE_INLINE void store_int8(int8_t* p, F a) {
  const int16x4_t half = vqmovn_s32(to_int(a));
  const int8x8_t bytes = vqmovn_s16(vcombine_s16(half, half));
  vst1_lane_s32((int32_t*)p, vreinterpret_s32_s8(bytes), 0);
}
LODESTONE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
LODESTONE_INLINE float sum(F a) {
  const float32x2_t b = vadd_f32(vget_low_f32(a), vget_high_f32(a));
  return vget_lane_f32(vpadd_f32(b, b), 0);
}
LODESTONE_INLINE float max_of(F a) { return vmaxvq_f32(a); }
LODESTONE_INLINE void transpose(F (&m)[4]) {
  const float32x4x2_t a = vtrnq_f32(m[0], m[1]), b = vtrnq_f32(m[2], m[3]);
  m[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  m[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  m[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  m[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

// ------------------------------------------------------- scalar: what any compiler makes of four floats side by side
#else

constexpr int lanes = 4;
typedef float F __attribute__((vector_size(16)));
typedef int32_t I __attribute__((vector_size(16)));
typedef int32_t B __attribute__((vector_size(16)));
typedef int32_t M __attribute__((vector_size(16)));
constexpr int int8_rows = 4, int8_vectors = 1;
constexpr int gemm_rows = 4, gemm_vectors = 2;
constexpr int dense_rows = 3, dense_outputs = 3;
constexpr int q8_zero = 0;

LODESTONE_INLINE F zero() { return F{0, 0, 0, 0}; }
LODESTONE_INLINE F set(float a) { return F{a, a, a, a}; }
LODESTONE_INLINE F load(const float* p) {
  F a;
  memcpy(&a, p, 16);
  return a;
}
LODESTONE_INLINE void store(float* p, F a) { memcpy(p, &a, 16); }
LODESTONE_INLINE F load_part(const float* p, int n) {
  F a = zero();
  memcpy(&a, p, size_t(n) * 4);
  return a;
}
LODESTONE_INLINE void store_part(float* p, F a, int n) { memcpy(p, &a, size_t(n) * 4); }
LODESTONE_INLINE uint16_t load_u16(const uint16_t* p) {
  uint16_t a;
  memcpy(&a, p, 2);
  return a;
}
LODESTONE_INLINE F load_bf16(const uint16_t* p) {
  return F{float_of_bf16(load_u16(p)), float_of_bf16(load_u16(p + 1)), float_of_bf16(load_u16(p + 2)), float_of_bf16(load_u16(p + 3))};
}
LODESTONE_INLINE F load_f16(const uint16_t* p) {
  return F{float_of_f16(load_u16(p)), float_of_f16(load_u16(p + 1)), float_of_f16(load_u16(p + 2)), float_of_f16(load_u16(p + 3))};
}
LODESTONE_INLINE void store_f16(uint16_t* p, F a) {
  for (int i = 0; i < 4; i++) {
    const uint16_t half = f16_of_float(a[i]);
    memcpy(p + i, &half, 2);
  }
}
LODESTONE_INLINE F load_int8(const int8_t* p) { return F{float(p[0]), float(p[1]), float(p[2]), float(p[3])}; }
LODESTONE_INLINE F fma(F a, F b, F c) { return a * b + c; }
LODESTONE_INLINE F select(M m, F a, F b) { return m ? a : b; }
LODESTONE_INLINE M less(F a, F b) { return a < b; }
LODESTONE_INLINE F max(F a, F b) { return a > b ? a : b; }
LODESTONE_INLINE F min(F a, F b) { return a < b ? a : b; }
LODESTONE_INLINE F abs(F a) { return (F)((I)a & I{0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff}); }
// Exact for |a| < 2^22, which is all that the kernels ask for.
LODESTONE_INLINE F round_even(F a) { return (a + set(12582912.0f)) - set(12582912.0f); }
LODESTONE_INLINE I to_int(F a) { return __builtin_convertvector(round_even(a), I); }
LODESTONE_INLINE F to_float(I a) { return __builtin_convertvector(a, F); }
LODESTONE_INLINE F power_of_two(I n) { return (F)((n + 127) << 23); }
LODESTONE_INLINE F iota() { return F{0, 1, 2, 3}; }
LODESTONE_INLINE I set_int(int32_t a) { return I{a, a, a, a}; }
LODESTONE_INLINE B load_bytes(const void* p) {
  B a;
  memcpy(&a, p, 16);
  return a;
}
LODESTONE_INLINE B broadcast4(const int8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  return set_int(four);
}
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "little-endian machines only"
#endif
#if defined(__SSE2__)  // which every x86-64 has: 16-bit products, added in pairs
LODESTONE_INLINE I dot(I acc, B w, B a) {
  const __m128i weights = (__m128i)w, activations = (__m128i)a;
  const __m128i wide = _mm_srai_epi16(_mm_unpacklo_epi8(activations, activations), 8);  // the same four in both halves
  const __m128 low = _mm_castsi128_ps(_mm_madd_epi16(_mm_srai_epi16(_mm_unpacklo_epi8(weights, weights), 8), wide));
  const __m128 high = _mm_castsi128_ps(_mm_madd_epi16(_mm_srai_epi16(_mm_unpackhi_epi8(weights, weights), 8), wide));
  return acc + (I)_mm_shuffle_ps(low, high, 0x88) + (I)_mm_shuffle_ps(low, high, 0xdd);
}
#else
LODESTONE_INLINE I dot(I acc, B w, B a) {
  acc += ((w << 24) >> 24) * ((a << 24) >> 24);
  acc += ((w << 16) >> 24) * ((a << 16) >> 24);
  acc += ((w << 8) >> 24) * ((a << 8) >> 24);
  return acc + (w >> 24) * (a >> 24);
}
#endif
using P = I;
LODESTONE_INLINE P no_products() { return P{0, 0, 0, 0}; }
LODESTONE_INLINE P add_products(P acc, B w, B a) { return dot(acc, w, a); }
LODESTONE_INLINE I add_up(I acc, P products) { return acc + products; }
LODESTONE_INLINE I add_scaled(I acc, P products, I scales) { return acc + products * scales; }
LODESTONE_INLINE P twice(int16_t a) { return set_int(2 * a); }
LODESTONE_INLINE I scale_of(I a) { return a; }
LODESTONE_INLINE I as_int(B a) { return a; }
LODESTONE_INLINE B as_bytes(I a) { return a; }
LODESTONE_INLINE B and_bits(B a, B b) { return a & b; }
LODESTONE_INLINE B or_bits(B a, B b) { return a | b; }
LODESTONE_INLINE B xor_bits(B a, B b) { return a ^ b; }
LODESTONE_INLINE B bytes_of(uint8_t a) { return set_int(int32_t(a * 0x01010101u)); }
typedef uint32_t U __attribute__((vector_size(16)));
template <int N> LODESTONE_INLINE B left(B a) { return (B)((U)a << N); }
template <int N> LODESTONE_INLINE B right(B a) { return (B)((U)a >> N); }
template <int N> LODESTONE_INLINE B signed_right(B a) { return a >> N; }
LODESTONE_INLINE B times(B a, int32_t b) { return (B)((U)a * uint32_t(b)); }
LODESTONE_INLINE void store_bytes(void* p, B a) { memcpy(p, &a, 16); }
LODESTONE_INLINE F low_halves(B a) {
  return F{float_of_f16(uint16_t(a[0])), float_of_f16(uint16_t(a[1])), float_of_f16(uint16_t(a[2])), float_of_f16(uint16_t(a[3]))};
}
LODESTONE_INLINE void store_int8(int8_t* p, F a) {
  const I wide = to_int(a);
  for (int i = 0; i < 4; i++) p[i] = int8_t(wide[i]);
}
LODESTONE_INLINE void prefetch(const void* p) { __builtin_prefetch(p); }
LODESTONE_INLINE float sum(F a) { return (a[0] + a[2]) + (a[1] + a[3]); }
LODESTONE_INLINE float max_of(F a) {
  const float b = a[0] > a[2] ? a[0] : a[2], c = a[1] > a[3] ? a[1] : a[3];
  return b > c ? b : c;
}
LODESTONE_INLINE void transpose(F (&m)[4]) {
  for (int i = 0; i < 4; i++) {
    for (int j = i + 1; j < 4; j++) {
      const float t = m[i][j];
      m[i][j] = m[j][i];
      m[j][i] = t;
    }
  }
}
#endif

// -------------------------------------------------------------------------------------- words made of the words above

#if !defined(LODESTONE_ISA_AVX512) && !defined(LODESTONE_ISA_AVX2)
LODESTONE_INLINE void transpose16(const uint8_t* const* rows, int64_t at, B (&w)[4]) {
  F m[4];
  for (int i = 0; i < 4; i++) m[i] = load((const float*)(rows[i] + at));
  transpose(m);
  memcpy(&w, &m, sizeof w);
}
LODESTONE_INLINE F halves_of(const uint8_t* const* rows, int64_t at) {
  uint16_t halves[lanes];
  for (int i = 0; i < lanes; i++) memcpy(&halves[i], rows[i] + at, 2);
  return load_f16(halves);
}
#endif
LODESTONE_INLINE B low_nibbles(B a) { return and_bits(a, bytes_of(15)); }
LODESTONE_INLINE B high_nibbles(B a) { return and_bits(right<4>(a), bytes_of(15)); }
// Byte N of each word, with its sign or without.
template <int N> LODESTONE_INLINE I signed_byte(B a) { return as_int(signed_right<24>(left<24 - 8 * N>(a))); }
template <int N> LODESTONE_INLINE I unsigned_byte(B a) { return as_int(right<24>(left<24 - 8 * N>(a))); }

// out[i] = sum(a[i])
template <int N>
LODESTONE_INLINE void sum_each(const F* a, float* out) {
  int i = 0;
#if defined(LODESTONE_HAS_SUM8)
  for (; i + 8 <= N; i += 8) sum8(a + i, out + i);
#endif
  for (; i < N; i++) out[i] = sum(a[i]);
}

// One name for "lanes weights of this storage type, as floats".
LODESTONE_INLINE F load_as_float(const float* p) { return load(p); }
struct Bf16 { uint16_t bits; };
struct F16 { uint16_t bits; };
LODESTONE_INLINE F load_as_float(const Bf16* p) { return load_bf16((const uint16_t*)p); }
LODESTONE_INLINE F load_as_float(const F16* p) { return load_f16((const uint16_t*)p); }

// The first n < lanes of them, zeros after; never reads past the n-th.
template <class T>
LODESTONE_INLINE F load_part_as_float(const T* p, int n) {
  T t[lanes] = {};
  memcpy((void*)t, (const void*)p, size_t(n) * sizeof(T));
  return load_as_float(t);
}

// Floats as halves, rounded to nearest even. Finite values beyond the largest half (65504) become it: an infinity in a
// sum of products would make NaN of it. NaN and infinities stay what they are.
LODESTONE_INLINE F clamp_to_f16(F a) {
  const F most = set(65504.0f), infinity = set(__builtin_inff());
  const F bounded = min(max(a, zero() - most), most);
  return select(less(abs(a), infinity), bounded, a);
}
LODESTONE_INLINE void store_as_f16(F16* p, F a) { store_f16((uint16_t*)p, clamp_to_f16(a)); }
LODESTONE_INLINE void store_part_as_f16(F16* p, F a, int n) {
  F16 t[lanes];
  store_as_f16(t, a);
  memcpy((void*)p, (const void*)t, size_t(n) * sizeof(F16));
}

// e^x to about 1 ulp; 0 below -86 (that is, under 2^-124), infinity above 88.72. NaN stays NaN.
// x = n ln2 + r with |r| <= ln2 / 2; ln2 in two parts, so that n ln2 is exact where it is subtracted.
LODESTONE_INLINE F exp(F x) {
  const F low = set(-86.0f), high = set(88.7228394f);
  const F bounded = min(set(89.0f), max(low, x));  // operand order: max and min of SSE return the second operand for NaN
  const F n = round_even(bounded * set(1.44269504f));
  F r = fma(n, set(-0.693359375f), bounded);
  r = fma(n, set(2.12194440e-4f), r);
  F p = set(1.9875691500e-4f);
  p = fma(p, r, set(1.3981999507e-3f));
  p = fma(p, r, set(8.3334519073e-3f));
  p = fma(p, r, set(4.1665795894e-2f));
  p = fma(p, r, set(1.6666665459e-1f));
  p = fma(p, r, set(5.0000001201e-1f));
  const F y = fma(p, r * r, r) + set(1.0f);
  // 2^n in two steps: n reaches 128.
  F result = (y * set(2.0f)) * power_of_two(to_int(n - set(1.0f)));
  result = select(less(x, low), zero(), result);
  return select(less(high, x), set(__builtin_inff()), result);
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
