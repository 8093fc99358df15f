// out[r] = scale * W[ids[r]], for the ids among rows `first` to `first + count - 1`, which this shard of W holds. Where an id
// is not below `outputs`, out is NaN, written by the first shard. A workgroup per row.
// Constants: FORMAT.
#include "blocks.wgsl"

struct Params {
  rows: u32,
  inputs: u32,
  outputs: u32,
  first: u32,
  count: u32,
  units: u32,
  // Of weights in blocks: where planes begin, in vec4s.
  highs: u32,
  scales: u32,
  supers: u32,
  scale: f32,
  ids_at: u32,
  out_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let r = group.x + group.y * groups.x;
  if (r >= p.rows) {
    return;
  }
  let id = ids[p.ids_at + r];
  let to = p.out_at + r * p.inputs;
  if (id >= p.outputs && p.first == 0u) {
    for (var i = thread; i < p.inputs; i += 64u) {
      out[to + i] = bitcast<f32>(0x7fc00000u | id);
    }
  }
  if (id < p.first || id >= p.first + p.count) {
    return;
  }
  if (QUANTIZED) {
    for (var unit = thread; unit < p.units; unit += 64u) {
      let at = (id - p.first) * p.units + unit;
      let integers = weight_unit(0u, at);
      let scales = weight_scales(0u, at);
      for (var word = 0u; word < 8u; word++) {
        let four = vec4<f32>(unpack4xI8(select(integers.low, integers.high, word >= 4u)[word % 4u]));
        let values = (four * select(scales.x, scales.y, word >= 4u) - scales.z) * p.scale;
        for (var e = 0u; e < 4u; e++) {
          out[to + unit * UNIT + word * 4u + e] = values[e];
        }
      }
    }
    return;
  }
  for (var i = thread; i < p.inputs; i += 64u) {
    out[to + i] = element(id - p.first, i) * p.scale;
  }
}

fn element(row: u32, i: u32) -> f32 {
  let e = i % UNIT;
  let bits = weight[(row * p.units + i / UNIT) * UNIT_WORDS + e / CHUNK];
  if (e % CHUNK >= 4u) {
    return chunk_high(bits)[e % 4u];
  }
  return chunk_low(bits)[e % 4u];
}

fn weight_word(part: u32, i: u32) -> vec4<u32> {
  return weight[i];
}
fn highs_at(part: u32) -> u32 {
  return p.highs;
}
fn scales_at(part: u32) -> u32 {
  return p.scales;
}
fn supers_at(part: u32) -> u32 {
  return p.supers;
}
