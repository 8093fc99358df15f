// How mat_vec.wgsl and mat_vec_q8.wgsl share out a tile: thread t is lane t % 32 of the outputs t / 32 * OUTPUTS and on.
// Constants: SUBGROUP, 0 without subgroups: else four neighbouring lanes are surely in one, since none has fewer.
#if SUBGROUP
enable subgroups;
#endif

const THREADS = 128u;
const OUTPUTS = 2u;
const TILE = THREADS / LANES * OUTPUTS;

#if SUBGROUP
// [row][output][lane / 4]: sums of four.
var<workgroup> lane_sums: array<array<f32, LANES / 4u>, TILE * ROWS>;
#else
// [row][output][lane]
var<workgroup> lane_sums: array<array<f32, LANES>, TILE * ROWS>;
#endif

// Adds the lanes' sums in order, in fours, and writes out. All threads must call it.
fn add_lanes(acc: ptr<function, array<array<f32, OUTPUTS>, ROWS>>, tile: Tile, thread: u32) {
  let lane = thread % LANES;
  for (var r = 0u; r < ROWS; r++) {
    for (var o = 0u; o < OUTPUTS; o++) {
      let own = (*acc)[r][o];
      let i = r * TILE + thread / LANES * OUTPUTS + o;
#if SUBGROUP
      let four = ((quadBroadcast(own, 0u) + quadBroadcast(own, 1u)) + quadBroadcast(own, 2u)) + quadBroadcast(own, 3u);
      if (lane % 4u == 0u) {
        lane_sums[i][lane / 4u] = four;
      }
#else
      lane_sums[i][lane] = own;
#endif
    }
  }
  workgroupBarrier();
  for (var i = thread; i < TILE * p.rows; i += THREADS) {
    var sum = 0.0;
    for (var four = 0u; four < turns(LANES / 4u, p.zero); four++) {
#if SUBGROUP
      sum += lane_sums[i][four];
#else
      sum += ((lane_sums[i][4u * four] + lane_sums[i][4u * four + 1u]) + lane_sums[i][4u * four + 2u]) + lane_sums[i][4u * four + 3u];
#endif
    }
    store(tile, i / TILE, tile.number * TILE + i % TILE, sum);
  }
}
