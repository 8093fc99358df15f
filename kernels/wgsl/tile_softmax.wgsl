// The softmax of attention.wgsl, a tile of keys at a time, in the words of that file. A thread has one key and every fourth row: so
// the KEYS keys of a row are those of neighbouring threads.
#include "softmax.wgsl"
#include "exchange.wgsl"

const KEY_ROWS = ROWS / 4u;
const COUNT = KEY_ROWS;
alias Numbers = array<f32, KEY_ROWS>;

// Where the softmax of a thread's rows stands: the same in all threads that have keys of them.
struct Softmax {
  maximum: Numbers,
  total: Numbers,
}

// Of a thread's rows, row i.
fn row_of(i: u32, thread: u32) -> u32 {
  return thread / KEYS + 4u * i;
}

fn none() -> Softmax {
  var softmax: Softmax;
  for (var i = 0u; i < KEY_ROWS; i++) {
    softmax.maximum[i] = NO_MAX;
    softmax.total[i] = 0.0;
  }
  return softmax;
}

// Of a tile what values are multiplied by, into `weights`: 0 for keys that a row does not see. All threads must call it.
fn weigh(tile: u32, tile_from: u32, tile_to: u32, kv_head: u32, thread: u32, softmax: ptr<function, Softmax>) {
  let key = thread % KEYS;
  let position = p.page_from + tile + key;
  let slot = kv_head * p.slots + (tile + key) % p.slots;
  if (thread < KEYS) {
    tile_slots[thread] = slot;
  }
  var sums = array<vec4<f32>, KEY_ROWS>();
  if (key >= tile_from && key < tile_to) {
    for (var column = 0u; column < turns(COLUMNS, p.zero); column++) {
      let four = key_four(slot, column);
      for (var i = 0u; i < KEY_ROWS; i++) {
        sums[i] = fma(vec4<f32>(q_tile[row_of(i, thread)][column]), four, sums[i]);
      }
    }
  }
  var logits: Numbers;
  for (var i = 0u; i < KEY_ROWS; i++) {
    let row = row_of(i, thread);
    let logit = factors[row] * ((sums[i].x + sums[i].y) + (sums[i].z + sums[i].w));
    let seen = key >= tile_from && key < tile_to && position >= first_key[row] && position <= last_key[row];
    logits[i] = select(NO_MAX, logit, seen);
  }

  var maxima = logits;
  for (var step = 1u; step < turns(KEYS, p.zero); step *= 2u) {
    let others = from_other(maxima, step, thread);
    for (var i = 0u; i < KEY_ROWS; i++) {
      maxima[i] = max(maxima[i], others[i]);
    }
  }
  var totals: Numbers;
  for (var i = 0u; i < KEY_ROWS; i++) {
    maxima[i] = max(maxima[i], (*softmax).maximum[i]);
    totals[i] = select(decay(logits[i] - maxima[i]), 0.0, logits[i] <= NO_MAX);
    weights[row_of(i, thread)][key] = totals[i];
  }
  for (var step = 1u; step < turns(KEYS, p.zero); step *= 2u) {
    let others = from_other(totals, step, thread);
    for (var i = 0u; i < KEY_ROWS; i++) {
      totals[i] += others[i];
    }
  }
  for (var i = 0u; i < KEY_ROWS; i++) {
    let correction = decay((*softmax).maximum[i] - maxima[i]);
    if (key == 0u) {
      corrections[row_of(i, thread)] = correction;
    }
    (*softmax).maximum[i] = maxima[i];
    (*softmax).total[i] = fma((*softmax).total[i], correction, totals[i]);
  }
}
