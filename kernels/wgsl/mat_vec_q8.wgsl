// mat_vec.wgsl for W in blocks, and x in int8.
// Constants: as parts.wgsl, without TAIL, and ROWS, which is at least `rows`.
#include "parts.wgsl"
#include "quantized.wgsl"
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
    var xs: array<Unit, ROWS>;
    var sums: array<i32, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      xs[r] = x_unit(min(r, p.rows - 1u), unit);
      sums[r] = x_sum(xs[r]);
    }
    for (var o = 0u; o < OUTPUTS; o++) {
      // Beyond the last output, the last one again.
      let at = min(first + o, tile.outputs - 1u) * p.units + unit;
      let w = weight_unit(tile.part, at);
      let scales = weight_scales(tile.part, at);
      for (var r = 0u; r < ROWS; r++) {
        acc[r][o] = add_product(acc[r][o], w, scales, xs[r], x_scale(min(r, p.rows - 1u), unit), sums[r]);
      }
    }
  }
  add_lanes(&acc, tile, thread);
}
