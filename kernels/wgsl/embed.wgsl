// out[r] = scale * W[ids[r]], for the ids among rows `first` to `first + count - 1`, which this shard of W holds. Where an id
// is not below `outputs`, out is NaN, written by the first shard. A workgroup per row.
// Constants: FORMAT.
#include "weights.wgsl"

struct Params {
  rows: u32,
  inputs: u32,
  outputs: u32,
  first: u32,
  count: u32,
  units: u32,
  scales: u32,
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
  for (var i = thread; i < p.inputs; i += 64u) {
    out[to + i] = element(id - p.first, i) * p.scale;
  }
}

fn element(row: u32, i: u32) -> f32 {
  let unit = row * p.units + i / UNIT;
  let e = i % UNIT;
  if (!QUANTIZED) {
    let bits = weight[unit * UNIT_WORDS + e / CHUNK];
    if (e % CHUNK >= 4u) {
      return chunk_high(bits)[e % 4u];
    }
    return chunk_low(bits)[e % 4u];
  }
  var bytes: vec4<u32>;
  if (FORMAT == Q8_0) {
    bytes = weight[unit * UNIT_WORDS + e / 16u];
  } else if (e < 16u) {
    bytes = low_nibbles(weight[unit]);
  } else {
    bytes = high_nibbles(weight[unit]);
  }
  let q = extractBits(bitcast<i32>(bytes[e % 16u / 4u]), 8u * (e % 4u), 8u);
  let word = p.scales * 4u + unit / 2u;
  return f32(q) * half_of(weight[word / 4u][word % 4u], unit);
}
