// out = W x + bias for few rows of x (decoding), W in f32, f16 or bf16: bound by how fast W is read, once for ROWS rows of x.
// A workgroup computes TILE outputs of ROWS rows: 32 lanes share the units of two matrix rows, four such groups a workgroup.
// Grid: tiles of outputs. Order of sums: parts.wgsl.
// Constants: as parts.wgsl, and ROWS, which is at least `rows`.
#include "parts.wgsl"
#include "dense.wgsl"
#include "lanes.wgsl"

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = group.x + group.y * groups.x;
  if (index >= p.tiles2) {
    return;
  }
  let tile = tile_of(index);
  let lane = thread % LANES;
  let first = tile.number * TILE + thread / LANES * OUTPUTS;

  var acc: array<array<f32, OUTPUTS>, ROWS>;
  for (var unit = lane; unit < p.units; unit += LANES) {
    for (var word = 0u; word < turns(UNIT_WORDS, p.zero); word++) {
      var low: array<vec4<f32>, ROWS>;
      var high: array<vec4<f32>, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        low[r] = x_four(min(r, p.rows - 1u), unit * UNIT + word * CHUNK);
        if (CHUNK == 8u) {
          high[r] = x_four(min(r, p.rows - 1u), unit * UNIT + word * CHUNK + 4u);
        }
      }
      for (var o = 0u; o < OUTPUTS; o++) {
        // Beyond the last output, the last one again.
        let row = min(first + o, tile.outputs - 1u);
        let bits = weight_word(tile.part, (row * p.units + unit) * UNIT_WORDS + word);
        for (var r = 0u; r < ROWS; r++) {
          acc[r][o] = chain(acc[r][o], chunk_low(bits), low[r]);
          if (CHUNK == 8u) {
            acc[r][o] = chain(acc[r][o], chunk_high(bits), high[r]);
          }
        }
      }
    }
  }
  add_lanes(&acc, tile, thread);
}

fn chain(sum: f32, w: vec4<f32>, x: vec4<f32>) -> f32 {
  return fma(w.w, x.w, fma(w.z, x.z, fma(w.y, x.y, fma(w.x, x.x, sum))));
}
