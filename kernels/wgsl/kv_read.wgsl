// Keys and values from a page, for attention.wgsl, which has k_page and v_page, p.kv_heads and p.slots.
#include "kv.wgsl"

fn key_four(vector: u32, column: u32) -> vec4<f32> {
  return page_four(false, vector, column);
}
fn value_four(vector: u32, column: u32) -> vec4<f32> {
  return page_four(true, vector, column);
}

// Four elements of a vector of the page of keys, or of values; 0 beyond its end.
fn page_four(values: bool, vector: u32, column: u32) -> vec4<f32> {
  let at = (vector * HEAD_DIM + column * 4u) / KV_PACKED;
  let left = HEAD_DIM - column * 4u;
  switch KV_FORMAT {
    case KV_Q8_0: {
      let scales = p.kv_heads * p.slots * (HEAD_DIM / 4u);
      let scale = bitcast<f32>(page_word(values, scales + vector * (HEAD_DIM / KV_BLOCK) + column / 8u));
      return vec4<f32>(unpack4xI8(page_word(values, at))) * scale;
    }
    case KV_F16: {
      var high = 0u;
      if (left > 2u) {
        high = page_word(values, at + 1u);
      }
      return vec4(unpack2x16float(page_word(values, at)), unpack2x16float(high));
    }
    default: {
      var four = vec4(0.0);
      for (var i = 0u; i < min(4u, left); i++) {
        four[i] = bitcast<f32>(page_word(values, at + i));
      }
      return four;
    }
  }
}

fn page_word(values: bool, i: u32) -> u32 {
  if (values) {
    return v_page[i];
  }
  return k_page[i];
}
