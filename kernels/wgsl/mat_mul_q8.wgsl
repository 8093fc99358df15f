// mat_mul.wgsl for W in blocks, and x in int8: integers are summed within a unit, and scaled once.
// Constants: as parts.wgsl, without TAIL.
#include "parts.wgsl"
#include "quantized.wgsl"
#include "square.wgsl"

// One unit of the inputs of each row, and each output.
var<workgroup> x_tile: array<Unit, TILE>;
var<workgroup> w_tile: array<Unit, TILE>;
var<workgroup> x_scales: array<f32, TILE>;
var<workgroup> x_sums: array<i32, TILE>;
var<workgroup> w_scales: array<vec3<f32>, TILE>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let tile = tile_of(group.x);
  let column = thread % 16u;
  let row = thread / 16u;

  var sums: LaneSums;
  for (var lane = 0u; lane < min(LANES, p.units); lane++) {
    // Zeroed explicitly: in a loop, a driver has been seen to zero it only once.
    var acc = Square();
    for (var unit = lane; unit < p.units; unit += LANES) {
      // Beyond the last row, and the last output, the last one again.
      if (thread < TILE) {
        let begin = min(group.y * TILE + thread, p.rows - 1u);
        x_tile[thread] = x_unit(begin, unit);
        x_scales[thread] = x_scale(begin, unit);
        x_sums[thread] = x_sum(x_tile[thread]);
      } else if (thread < 2u * TILE) {
        let o = thread - TILE;
        let at = min(tile.number * TILE + o, tile.outputs - 1u) * p.units + unit;
        w_tile[o] = weight_unit(tile.part, at);
        w_scales[o] = weight_scales(tile.part, at);
      }
      workgroupBarrier();
      for (var r = 0u; r < 4u; r++) {
        let xs = x_tile[row + 16u * r];
        let scale = x_scales[row + 16u * r];
        let sum = x_sums[row + 16u * r];
        for (var o = 0u; o < 4u; o++) {
          acc[r][o] = add_product(acc[r][o], w_tile[column + 16u * o], w_scales[column + 16u * o], xs, scale, sum);
        }
      }
      workgroupBarrier();
    }
    add_lane(&sums, lane, acc);
  }
  store_square(tile, group.y, thread, &sums);
}
