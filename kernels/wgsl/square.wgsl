// How mat_mul.wgsl and mat_mul_q8.wgsl share out a square of TILE rows by TILE outputs: thread t of 16 x 16 has the rows t / 16, and
// every 16th after it, and of the outputs t % 16 and on; 4 x 4 in registers.
const THREADS = 256u;
const TILE = 64u;

// [row] of four outputs
alias Square = array<vec4<f32>, 4>;

// The sums of the lanes so far (parts.wgsl): of whole fours of lanes, and of the last ones.
struct LaneSums {
  whole: Square,
  last: Square,
}

fn add_lane(sums: ptr<function, LaneSums>, lane: u32, acc: Square) {
  for (var r = 0u; r < 4u; r++) {
    (*sums).last[r] += acc[r];
    if (lane % 4u == 3u) {
      (*sums).whole[r] += (*sums).last[r];
      (*sums).last[r] = vec4(0.0);
    }
  }
}

// `group` is the tile of rows.
fn store_square(tile: Tile, group: u32, thread: u32, sums: ptr<function, LaneSums>) {
  for (var r = 0u; r < 4u; r++) {
    let row = group * TILE + thread / 16u + 16u * r;
    if (row < p.rows) {
      let four = (*sums).whole[r] + (*sums).last[r];
      for (var o = 0u; o < 4u; o++) {
        store(tile, row, tile.number * TILE + thread % 16u + 16u * o, four[o]);
      }
    }
  }
}
