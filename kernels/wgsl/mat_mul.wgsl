// out = W x + bias for many rows of x (prefill), W in f32, f16 or bf16. A workgroup computes 64 outputs of 64 rows
// (square.wgsl), a unit of inputs at a time through workgroup memory.
// Grid: tiles of outputs, by tiles of rows. Order of sums: parts.wgsl.
// Constants: as parts.wgsl, and HALF: tiles of W, which is in f16, stay so. It is the same, but takes half the workgroup memory.
#include "parts.wgsl"
#include "dense.wgsl"
#include "square.wgsl"

const FOURS = UNIT / 4u;
#if HALF
enable f16;
alias Four = vec4<f16>;
#else
alias Four = vec4<f32>;
#endif
// Rows, and outputs, of four inputs each; one more, so that those of neighbours lie in different banks.
var<workgroup> x_tile: array<array<vec4<f32>, FOURS + 1u>, TILE>;
var<workgroup> w_tile: array<array<Four, FOURS + 1u>, TILE>;

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
      for (var i = thread; i < turns(TILE * FOURS, p.zero); i += THREADS) {
        let from_row = min(group.y * TILE + i / FOURS, p.rows - 1u);
        x_tile[i / FOURS][i % FOURS] = x_four(from_row, unit * UNIT + i % FOURS * 4u);
      }
      for (var i = thread; i < turns(TILE * UNIT_WORDS, p.zero); i += THREADS) {
        let output = min(tile.number * TILE + i / UNIT_WORDS, tile.outputs - 1u);
        let word = i % UNIT_WORDS;
        let bits = weight_word(tile.part, (output * p.units + unit) * UNIT_WORDS + word);
        w_tile[i / UNIT_WORDS][word * (CHUNK / 4u)] = Four(chunk_low(bits));
        if (CHUNK == 8u) {
          w_tile[i / UNIT_WORDS][word * 2u + 1u] = Four(chunk_high(bits));
        }
      }
      workgroupBarrier();
      for (var k = 0u; k < turns(FOURS, p.zero); k++) {
        // [output][input] to [input][output]
        let ws = transpose(mat4x4<f32>(w_four(column, k), w_four(column + 16u, k), w_four(column + 32u, k), w_four(column + 48u, k)));
        for (var r = 0u; r < 4u; r++) {
          let xs = x_tile[row + 16u * r][k];
          acc[r] = fma(ws[3], vec4(xs.w), fma(ws[2], vec4(xs.z), fma(ws[1], vec4(xs.y), fma(ws[0], vec4(xs.x), acc[r]))));
        }
      }
      workgroupBarrier();
    }
    add_lane(&sums, lane, acc);
  }
  store_square(tile, group.y, thread, &sums);
}

fn w_four(output: u32, k: u32) -> vec4<f32> {
  return vec4<f32>(w_tile[output][k]);
}
