// How mat_mul.wgsl and mat_mul_q8.wgsl share out a square of TILE rows by TILE outputs: thread t of 16 x 16 has the rows t / 16, and
// every 16th after it, and of the outputs t % 16 and on; 4 x 4 in registers.
const THREADS = 256u;
const TILE = 64u;

// [row] of four outputs. `group` is the tile of rows.
fn store_square(tile: Tile, group: u32, thread: u32, sum: ptr<function, array<vec4<f32>, 4>>) {
  for (var r = 0u; r < 4u; r++) {
    let row = group * TILE + thread / 16u + 16u * r;
    if (row < p.rows) {
      for (var o = 0u; o < 4u; o++) {
        store(tile, row, tile.number * TILE + thread % 16u + 16u * o, (*sum)[r][o]);
      }
    }
  }
}
