// Keys, normed and rotated, and values as they are, into the cache at positions start + row.
#include "kernels.h"
#include "simd.h"

namespace lodestone {
namespace LODESTONE_ISA {

// Where position p of a KV head lies; `pages` is k_pages or v_pages.
LODESTONE_INLINE float* cache_row(const Cache& cache, float* const* pages, int64_t kv_head, int64_t p) {
  const int64_t page = cache.ring ? 0 : p / cache.page_slots;
  return pages[page] + (kv_head * cache.page_slots + p % cache.page_slots) * cache.head_dim;
}

static void store_kv(const StoreKv& c, int64_t row_begin, int64_t row_end) {
  const int64_t dim = c.cache.head_dim, heads = c.cache.kv_heads;
  for (int64_t r = row_begin; r < row_end; r++) {
    const float* rope = c.key.rope ? c.key.rope + r * dim : nullptr;
    for (int64_t h = 0; h < heads; h++) {
      const int64_t from = (r * heads + h) * dim;
      norm_rope_head(c.key.q + from, c.key.gain, rope, cache_row(c.cache, c.cache.k_pages, h, c.start + r), dim, c.key.eps);
      memcpy(cache_row(c.cache, c.cache.v_pages, h, c.start + r), c.v + from, size_t(dim) * 4);
    }
  }
}

}  // namespace LODESTONE_ISA
}  // namespace lodestone
