// Keys and values in the pages of a cache (src/device/kvLayout.ts), for store_kv.wgsl and attention.wgsl. A page is words:
// vectors of HEAD_DIM elements, [kv head][slot]; of q8_0 int8, and after all of them a float32 scale for each 32.
// Constants: HEAD_DIM; KV_FORMAT, one of these.
const KV_F32 = 0u;
const KV_F16 = 1u;
const KV_Q8_0 = 2u;

// Elements in a word.
const KV_PACKED = select(select(4u, 2u, KV_FORMAT == KV_F16), 1u, KV_FORMAT == KV_F32);
const KV_BLOCK = 32u;
