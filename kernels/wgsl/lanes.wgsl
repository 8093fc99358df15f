// How mat_vec.wgsl and mat_vec_q8.wgsl share out a tile: thread t is lane t % 32 of the outputs t / 32 * OUTPUTS and on.
const THREADS = 128u;
const OUTPUTS = 2u;
const TILE = THREADS / LANES * OUTPUTS;

// [row][output][lane]
var<workgroup> lane_sums: array<array<f32, LANES>, TILE * ROWS>;

// Adds the lanes' sums in order, and writes out. All threads must call it.
fn add_lanes(acc: ptr<function, array<array<f32, OUTPUTS>, ROWS>>, tile: Tile, thread: u32) {
  for (var r = 0u; r < ROWS; r++) {
    for (var o = 0u; o < OUTPUTS; o++) {
      lane_sums[r * TILE + thread / LANES * OUTPUTS + o][thread % LANES] = (*acc)[r][o];
    }
  }
  workgroupBarrier();
  for (var i = thread; i < TILE * p.rows; i += THREADS) {
    var sum = 0.0;
    for (var lane = 0u; lane < turns(LANES, p.zero); lane++) {
      sum += lane_sums[i][lane];
    }
    store(tile, i / TILE, tile.number * TILE + i % TILE, sum);
  }
}
