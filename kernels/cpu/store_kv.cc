// Keys, normed and rotated or as they are, and values as they are, into the cache at positions start + row, in the cache's format.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// One head's vector of head_dim elements in a page, as each format stores it. `load_elements(row, d)` gives `lanes`
// floats from element d on; where fewer are left, `load_elements_part` gives them and zeros.
struct RowF32 {
  const float* at;
};
struct RowF16 {
  const F16* at;
};
struct RowQ8 {
  const int8_t* at;
  const float* scales;
};
LODESTONE_INLINE F load_elements(RowF32 row, int64_t d) { return load(row.at + d); }
LODESTONE_INLINE F load_elements_part(RowF32 row, int64_t d, int n) { return load_part(row.at + d, n); }
LODESTONE_INLINE F load_elements(RowF16 row, int64_t d) { return load_as_float(row.at + d); }
LODESTONE_INLINE F load_elements_part(RowF16 row, int64_t d, int n) { return load_part_as_float(row.at + d, n); }
// A vector never straddles two scales: head_dim and 32 are multiples of `lanes`. So there is never a part, either.
LODESTONE_INLINE F load_elements(RowQ8 row, int64_t d) { return load_int8(row.at + d) * set(row.scales[d / quant_block]); }
LODESTONE_INLINE F load_elements_part(RowQ8 row, int64_t d, int) { return load_elements(row, d); }

// The vector number `index` of a page.
LODESTONE_INLINE void set_row(RowF32& row, const Cache& c, const uint8_t* page, int64_t index) { row.at = (const float*)page + index * c.head_dim; }
LODESTONE_INLINE void set_row(RowF16& row, const Cache& c, const uint8_t* page, int64_t index) { row.at = (const F16*)page + index * c.head_dim; }
LODESTONE_INLINE void set_row(RowQ8& row, const Cache& c, const uint8_t* page, int64_t index) {
  row.at = (const int8_t*)page + index * c.head_dim;
  row.scales = (const float*)(page + c.kv_heads * c.page_slots * c.head_dim) + index * (c.head_dim / quant_block);
}

// rows[p - begin] for the positions begin .. end - 1 of a KV head; `pages` is k_pages or v_pages. One division a run of
// neighbouring slots, not one a position: they would cost more than the attention itself.
template <class Row>
static void find_rows(const Cache& c, uint8_t* const* pages, int64_t kv_head, int64_t begin, int64_t end, Row* rows) {
  for (int64_t p = begin; p < end;) {
    const int64_t turn = p / c.page_slots, slot = p - turn * c.page_slots;
    const uint8_t* page = pages[c.ring ? 0 : turn - c.first_page];
    const int64_t run = end - p < c.page_slots - slot ? end - p : c.page_slots - slot;
    for (int64_t i = 0; i < run; i++) set_row(rows[p - begin + i], c, page, kv_head * c.page_slots + slot + i);
    p += run;
  }
}

// Writes a vector. The pages are this command's to write, whatever the rows that attention reads promise.
LODESTONE_INLINE void store_elements(RowF32 row, const float* x, int64_t dim) { memcpy((float*)row.at, x, size_t(dim) * 4); }
LODESTONE_INLINE void store_elements(RowF16 row, const float* x, int64_t dim) {
  F16* to = (F16*)row.at;
  int64_t d = 0;
  for (; d + lanes <= dim; d += lanes) store_as_f16(to + d, load(x + d));
  if (d < dim) store_part_as_f16(to + d, load_part(x + d, int(dim - d)), int(dim - d));
}
LODESTONE_INLINE void store_elements(RowQ8 row, const float* x, int64_t dim) {
  for (int64_t d = 0; d < dim; d += quant_block) ((float*)row.scales)[d / quant_block] = quantise_block(x + d, (int8_t*)row.at + d).d;
}

template <class Row>
static void store_rows(const StoreKv& c, int64_t row_begin, int64_t row_end) {
  const int64_t dim = c.cache.head_dim, heads = c.cache.kv_heads;
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* rope = c.key.rope ? c.key.rope + r * dim : nullptr;
    for (int64_t h = 0; h < heads; h++) {
      float* key = c.key.q + (r * heads + h) * dim;  // in place: the command may use k as scratch
      if (c.key.gain) norm_rope_head(key, c.key.gain, rope, key, dim, c.key.eps);
      Row k, v;
      find_rows(c.cache, c.cache.k_pages, h, c.start + r, c.start + r + 1, &k);
      find_rows(c.cache, c.cache.v_pages, h, c.start + r, c.start + r + 1, &v);
      store_elements(k, key, dim);
      store_elements(v, c.v + (r * heads + h) * dim, dim);
    }
  }
}

static void store_kv(const StoreKv& c, int64_t row_begin, int64_t row_end) {
  switch (c.cache.format) {
    case KvFormat::f32: return store_rows<RowF32>(c, row_begin, row_end);
    case KvFormat::f16: return store_rows<RowF16>(c, row_begin, row_end);
    case KvFormat::q8_0: return store_rows<RowQ8>(c, row_begin, row_end);
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
