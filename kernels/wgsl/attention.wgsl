// Attention over one page of a cache, causal with a window, both ways inside spans of positions (AttentionCommand), by
// flash attention: softmax from running maxima (arXiv 2307.08691).
//
// A workgroup takes ROWS rows of queries of one KV head; a row is a query head of a position, so that keys and values are
// read once for all heads that share them. Keys come in tiles of KEYS, tiles in partitions of PARTITION, both cut at
// multiples in the page (in a ring: at multiples of positions). A partition is summed by itself, and partitions are merged in
// order. So a row's result does not depend, in any bit, on the rows beside it or on who computes which partition:
//   not SPLIT: this workgroup goes through all of the page, carrying on from the page before where not `first_page`: then
//     out and state hold what has been summed so far. After the last page, out is the result.
//   SPLIT: a workgroup each; out and state get each partition's sums, and attention_merge.wgsl does the rest.
// Keys that a row does not see have weight 0, and change nothing.
//
// Grid: blocks of rows, KV heads, partitions (not SPLIT: 1).
// Constants: HEAD_DIM, KV_FORMAT, COMPACT, ROWS (4, 8 or 16), SPLIT, LOG (logits are scaled with the position), QUANTIZE (the
// result also in int8: write_unit.wgsl; not SPLIT, and only with the last page), HALF (queries are rounded to f16, and take half
// the workgroup memory; not where keys are f32).
#if HALF
enable f16;
#endif
#include "kv_read.wgsl"
#include "tile_softmax.wgsl"
#include "compact.wgsl"
#include "write_unit.wgsl"

const THREADS = 128u;
const KEYS = 32u;
const PARTITION = 512u;
// Columns of four elements of a head.
const COLUMNS = (HEAD_DIM + 3u) / 4u;
// In outputs, a thread has one column and every GROUPS-th row.
const GROUPS = THREADS / COLUMNS;
// Units of a head that QUANTIZE writes; smaller heads have none.
const HEAD_UNITS = max(HEAD_DIM / 32u, 1u);
const COLUMN_ROWS = (ROWS + GROUPS - 1u) / GROUPS;

struct Params {
  // Positions of queries, from `start` on.
  rows: u32,
  start: u32,
  heads: u32,
  kv_heads: u32,
  window: u32,
  scale: f32,
  // 0: for COMPACT.
  zero: u32,
  // Position of the page's first key (0 in a ring), and the end of those that may be in it.
  page_from: u32,
  page_to: u32,
  slots: u32,
  first_page: u32,
  last_page: u32,
  // SPLIT: the page's first partition to compute, and the number of partitions of pages before.
  first_part: u32,
  earlier: u32,
  // Spans of positions that see each other: first and one past the last of each, in `extras`.
  spans: u32,
  spans_at: u32,
  // LOG: ln(position + 1) of each of the rows, in `extras`.
  logs_at: u32,
  // QUANTIZE.
  scales: u32,
  q_at: u32,
  out_at: u32,
  log_scale_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> q: array<f32>;
@group(0) @binding(2) var<storage, read> k_page: array<u32>;
@group(0) @binding(3) var<storage, read> v_page: array<u32>;
@group(0) @binding(4) var<storage, read> extras: array<u32>;
@group(0) @binding(5) var<storage, read> log_scale: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
// Of each row: maximum, and sum of exponentials.
@group(0) @binding(7) var<storage, read_write> state: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> quants: array<u32>;

#if HALF
alias Query = vec4<f16>;
#else
alias Query = vec4<f32>;
#endif
var<workgroup> q_tile: array<array<Query, COLUMNS>, ROWS>;
var<workgroup> weights: array<array<f32, KEYS>, ROWS>;
var<workgroup> tile_slots: array<u32, KEYS>;
// Of each row: the first and last position that it sees, what its logits are multiplied by, and the sum of its exponentials.
var<workgroup> first_key: array<u32, ROWS>;
var<workgroup> last_key: array<u32, ROWS>;
var<workgroup> factors: array<f32, ROWS>;
var<workgroup> row_totals: array<f32, ROWS>;
// What sums so far are multiplied by when a tile is added, or a partition; and the partition.
var<workgroup> corrections: array<f32, ROWS>;
var<workgroup> part_factors: array<f32, ROWS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let shared_by = p.heads / p.kv_heads;
  let row_count = p.rows * shared_by;
  let first_row = group.x * ROWS;
  let last_row = min(first_row + ROWS, row_count) - 1u;
  let kv_head = group.y;

  for (var i = thread; i < turns(ROWS * COLUMNS, p.zero); i += THREADS) {
    let four = query_four(min(first_row + i / COLUMNS, last_row), kv_head, i % COLUMNS);
    q_tile[i / COLUMNS][i % COLUMNS] = Query(select(four, clamp(four, vec4(-65504.0), vec4(65504.0)), HALF));
  }
  if (thread < ROWS) {
    let row = min(first_row + thread, last_row);
    let token = row / shared_by;
    first_key[thread] = first_seen(p.start + token);
    last_key[thread] = last_seen(p.start + token);
    factors[thread] = p.scale;
    if (LOG) {
      factors[thread] *= log_scale[p.log_scale_at + kv_head * shared_by + row % shared_by] * bitcast<f32>(extras[p.logs_at + token]);
    }
  }
  var softmax = none();
  if (!SPLIT && p.first_page == 0u) {
    for (var i = 0u; i < KEY_ROWS; i++) {
      let before = state[state_index(min(first_row + row_of(i, thread), last_row), kv_head)];
      softmax.maximum[i] = before.x;
      softmax.total[i] = before.y;
    }
  }
  let column = thread % COLUMNS;
  let column_group = thread / COLUMNS;
  var total: array<vec4<f32>, COLUMN_ROWS>;
  if (!SPLIT && p.first_page == 0u) {
    for (var i = 0u; i < COLUMN_ROWS; i++) {
      let row = first_row + column_group + i * GROUPS;
      if (column_group < GROUPS && row <= last_row && column_group + i * GROUPS < ROWS) {
        total[i] = load_out(row, kv_head, column);
      }
    }
  }

  // The keys of this page that any of the rows sees, counted from the page's first.
  let begin = max(first_seen(p.start + first_row / shared_by), p.page_from) - p.page_from;
  let to = max(min(last_seen(p.start + last_row / shared_by) + 1u, p.page_to), p.page_from) - p.page_from;
  var part_from = begin / PARTITION;
  var part_to = (to + PARTITION - 1u) / PARTITION;
  if (SPLIT) {
    part_from = p.first_part + group.z;
    part_to = part_from + 1u;
  }
  workgroupBarrier();
  for (var part = part_from; part < part_to; part++) {
    // Zeroed explicitly: in a loop, a driver has been seen to zero it only once.
    var acc = array<vec4<f32>, COLUMN_ROWS>();
    var part_softmax = none();
    let end = min(to, (part + 1u) * PARTITION);
    for (var tile = max(begin, part * PARTITION) / KEYS * KEYS; tile < end; tile += KEYS) {
      let tile_from = max(begin, tile) - tile;
      let tile_to = min(end, tile + KEYS) - tile;
      weigh(tile, tile_from, tile_to, kv_head, thread, &part_softmax);
      workgroupBarrier();
      if (column_group < GROUPS) {
        for (var i = 0u; i < COLUMN_ROWS; i++) {
          acc[i] *= corrections[min(column_group + i * GROUPS, ROWS - 1u)];
        }
        for (var key = tile_from; key < tile_to; key++) {
          let value = value_four(tile_slots[key], column);
          for (var i = 0u; i < COLUMN_ROWS; i++) {
            acc[i] = fma(vec4(weights[min(column_group + i * GROUPS, ROWS - 1u)][key]), value, acc[i]);
          }
        }
      }
      workgroupBarrier();
    }
    if (SPLIT) {
      total = acc;
      softmax = part_softmax;
    } else {
      for (var i = 0u; i < KEY_ROWS; i++) {
        let merged = merge(softmax.maximum[i], softmax.total[i], part_softmax.maximum[i], part_softmax.total[i]);
        softmax.maximum[i] = merged.maximum;
        softmax.total[i] = merged.total;
        if (thread % KEYS == 0u) {
          corrections[row_of(i, thread)] = merged.a;
          part_factors[row_of(i, thread)] = merged.b;
        }
      }
      workgroupBarrier();
      for (var i = 0u; i < COLUMN_ROWS; i++) {
        let row = min(column_group + i * GROUPS, ROWS - 1u);
        total[i] = fma(acc[i], vec4(part_factors[row]), total[i] * corrections[row]);
      }
      workgroupBarrier();
    }
  }

  if (thread % KEYS == 0u) {
    for (var i = 0u; i < KEY_ROWS; i++) {
      let r = row_of(i, thread);
      row_totals[r] = softmax.total[i];
      let row = first_row + r;
      if (row <= last_row && (SPLIT || p.last_page == 0u)) {
        let at = select(state_index(row, kv_head), partial_index(row, kv_head, group.z), SPLIT);
        state[at] = vec2(softmax.maximum[i], softmax.total[i]);
      }
    }
  }
  workgroupBarrier();
  if (column_group < GROUPS) {
    for (var i = 0u; i < COLUMN_ROWS; i++) {
      let r = column_group + i * GROUPS;
      if (r < ROWS && first_row + r <= last_row) {
        var value = total[i];
        if (!SPLIT && p.last_page == 1u) {
          value = value / row_totals[r];
        }
        store_out(first_row + r, kv_head, group.z, column, value);
      }
    }
  }
  if (QUANTIZE) {
    storageBarrier();
    for (var i = thread; i < ROWS * HEAD_UNITS; i += THREADS) {
      let row = first_row + i / HEAD_UNITS;
      if (row <= last_row) {
        let unit = state_index(row, kv_head) * HEAD_UNITS + i % HEAD_UNITS;
        var values: array<f32, 32>;
        for (var e = 0u; e < 32u; e++) {
          values[e] = out[p.out_at + unit * 32u + e];
        }
        write_unit(unit, &values);
      }
    }
  }
}

fn first_seen(position: u32) -> u32 {
  if (p.window == 0u || position < p.window) {
    return 0u;
  }
  return position - p.window + 1u;
}

fn last_seen(position: u32) -> u32 {
  var last = position;
  for (var i = 0u; i < p.spans; i++) {
    let to = extras[p.spans_at + 2u * i + 1u];
    if (position >= extras[p.spans_at + 2u * i] && position < to) {
      last = to - 1u;
    }
  }
  return last;
}

// Row: positions, and for each the query heads that share a KV head.
fn state_index(row: u32, kv_head: u32) -> u32 {
  let shared_by = p.heads / p.kv_heads;
  return row / shared_by * p.heads + kv_head * shared_by + row % shared_by;
}
fn partial_index(row: u32, kv_head: u32, part: u32) -> u32 {
  return (p.earlier + part) * p.rows * p.heads + state_index(row, kv_head);
}

fn query_four(row: u32, kv_head: u32, column: u32) -> vec4<f32> {
  let at = p.q_at + state_index(row, kv_head) * HEAD_DIM + column * 4u;
  var four = vec4(0.0);
  for (var i = 0u; i < turns(min(4u, HEAD_DIM - column * 4u), p.zero); i++) {
    four[i] = q[at + i];
  }
  return four;
}

fn load_out(row: u32, kv_head: u32, column: u32) -> vec4<f32> {
  let at = p.out_at + state_index(row, kv_head) * HEAD_DIM + column * 4u;
  var four = vec4(0.0);
  for (var i = 0u; i < turns(min(4u, HEAD_DIM - column * 4u), p.zero); i++) {
    four[i] = out[at + i];
  }
  return four;
}

fn store_out(row: u32, kv_head: u32, part: u32, column: u32, four: vec4<f32>) {
  let index = select(state_index(row, kv_head), partial_index(row, kv_head, part), SPLIT);
  let at = p.out_at + index * HEAD_DIM + column * 4u;
  for (var i = 0u; i < turns(min(4u, HEAD_DIM - column * 4u), p.zero); i++) {
    out[at + i] = four[i];
  }
}
