// Keys, normalised and rotated where NORM and ROPE, and values into one page of a cache, in its format. A workgroup per KV
// head of a row; if QUERIES, one per query head too, which is normalised and rotated in place.
// Constants: HEAD_DIM, KV_FORMAT, NORM (a gain is given), ROPE, QUERIES (of the same rows; `first` is 0 then).
#include "rotate_query.wgsl"
#include "kv.wgsl"
#include "quantize_unit.wgsl"

struct Params {
  // Of them, those from row `first` on go into this page, into slots from `slot` on; beyond the last slot comes the first.
  rows: u32,
  first: u32,
  slot: u32,
  slots: u32,
  kv_heads: u32,
  heads: u32,
  eps: f32,
  k_at: u32,
  v_at: u32,
  gain_at: u32,
  rope_at: u32,
  q_at: u32,
  q_gain_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read> gain: array<f32>;
@group(0) @binding(4) var<storage, read> rope: array<f32>;
@group(0) @binding(5) var<storage, read_write> k_page: array<u32>;
@group(0) @binding(6) var<storage, read_write> v_page: array<u32>;
@group(0) @binding(7) var<storage, read_write> q: array<f32>;
@group(0) @binding(8) var<storage, read> q_gain: array<f32>;

var<workgroup> key: array<f32, HEAD_DIM>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.x + group.y * groups.x;
  if (index >= p.rows * p.kv_heads) {
    if (QUERIES && index < p.rows * (p.kv_heads + p.heads)) {
      rotate_query(index - p.rows * p.kv_heads, thread);
    }
    return;
  }
  let row = p.first + index / p.kv_heads;
  let head = index % p.kv_heads;
  let begin = (row * p.kv_heads + head) * HEAD_DIM;
  let vector = head * p.slots + (p.slot + index / p.kv_heads) % p.slots;

  if (NORM) {
    var sum = 0.0;
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      sum = fma(k[p.k_at + begin + i], k[p.k_at + begin + i], sum);
    }
    let factor = inverse_rms(sum, p.eps, thread);
    for (var j = thread; j < HALF_DIM; j += THREADS) {
      let a = k[p.k_at + begin + j] * factor * gain[p.gain_at + j];
      let b = k[p.k_at + begin + j + HALF_DIM] * factor * gain[p.gain_at + j + HALF_DIM];
      var pair = vec2(a, b);
      if (ROPE) {
        let table = p.rope_at + row * HEAD_DIM + j;
        pair = rotated(a, b, rope[table], rope[table + HALF_DIM]);
      }
      key[j] = pair.x;
      key[j + HALF_DIM] = pair.y;
    }
  } else {
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      key[i] = k[p.k_at + begin + i];
    }
  }
  workgroupBarrier();

  if (KV_FORMAT == KV_Q8_0) {
    for (var block = thread; block < HEAD_DIM / KV_BLOCK; block += THREADS) {
      store_block(vector, block, p.v_at + begin);
    }
    return;
  }
  for (var word = thread; word < HEAD_DIM / KV_PACKED; word += THREADS) {
    let to = vector * (HEAD_DIM / KV_PACKED) + word;
    let i = word * KV_PACKED;
    let value = p.v_at + begin + i;
    if (KV_FORMAT == KV_F32) {
      k_page[to] = bitcast<u32>(key[i]);
      v_page[to] = bitcast<u32>(v[value]);
    } else {
      k_page[to] = half_bits(key[i]) | (half_bits(key[i + 1u]) << 16u);
      v_page[to] = half_bits(v[value]) | (half_bits(v[value + 1u]) << 16u);
    }
  }
}

// A block of 32 elements of the key, and of the value that begins at element `value` of v.
fn store_block(vector: u32, block: u32, value: u32) {
  let blocks = HEAD_DIM / KV_BLOCK;
  let scales = p.kv_heads * p.slots * (HEAD_DIM / 4u);
  let scale_at = scales + vector * blocks + block;
  let words_at = (vector * blocks + block) * (KV_BLOCK / 4u);
  var numbers: array<f32, 32>;
  for (var i = 0u; i < KV_BLOCK; i++) {
    numbers[i] = key[block * KV_BLOCK + i];
  }
  let k_scale = scale_of(&numbers);
  k_page[scale_at] = k_scale;
  for (var word = 0u; word < KV_BLOCK / 4u; word++) {
    k_page[words_at + word] = quantized(&numbers, 4u * word, bitcast<f32>(k_scale));
  }
  for (var i = 0u; i < KV_BLOCK; i++) {
    numbers[i] = v[value + block * KV_BLOCK + i];
  }
  let v_scale = scale_of(&numbers);
  v_page[scale_at] = v_scale;
  for (var word = 0u; word < KV_BLOCK / 4u; word++) {
    v_page[words_at + word] = quantized(&numbers, 4u * word, bitcast<f32>(v_scale));
  }
}

// To f16, nearest even, which pack2x16float does not promise. Finite numbers beyond +-65504 become +-65504; infinities stay,
// and NaN.
fn half_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    return sign | 0x7e00u;
  }
  if (magnitude == 0x7f800000u) {
    return sign | 0x7c00u;
  }
  if (magnitude < 0x38800000u) {
    // Below the smallest normal f16, steps are of 2^-24: with 1/2 added, those of a float.
    return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5) - 0x3f000000u);
  }
  // Exponents less 112, 13 bits of fraction rounded away.
  let rounded = magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13u) & 1u);
  return sign | min(rounded >> 13u, 0x7bffu);
}
