// What mat_vec.wgsl and mat_mul.wgsl share: out = W x + bias of up to three matrices W that meet the same x.
//
// Both add up in one order, so that a row's result does not depend, in any bit, on how many rows are computed beside it.
// A matrix row is cut into units of 32 elements. Lane l, of 32, takes the units l, l + 32, ... and sums along them, element
// by element (quantised: unit by unit); then the lanes' sums are added in fours, from the first to the last, and the
// sums of fours likewise.
//
// Constants: FORMAT, COMPACT. PARTS: 1, or 3 where there are more. BIAS: a bias is added. TAIL: inputs is not a multiple of 32.
#include "weights.wgsl"
#include "compact.wgsl"

const LANES = 32u;

struct Params {
  rows: u32,
  // 0: for COMPACT.
  zero: u32,
  inputs: u32,
  // Units in a row.
  units: u32,
  // Of the quantised x: where its scales begin, in vec4s.
  x_scales: u32,
  // Tiles of outputs up to the end of each part.
  tiles0: u32,
  tiles1: u32,
  tiles2: u32,
  // Rows of each part's matrix, and the width of its out, which is larger where the matrix is a shard of one.
  outputs0: u32,
  outputs1: u32,
  outputs2: u32,
  width0: u32,
  width1: u32,
  width2: u32,
  // Of weights in blocks: where planes begin, in vec4s.
  highs0: u32,
  highs1: u32,
  highs2: u32,
  scales0: u32,
  scales1: u32,
  scales2: u32,
  supers0: u32,
  supers1: u32,
  supers2: u32,
  x_at: u32,
  out0_at: u32,
  out1_at: u32,
  out2_at: u32,
  bias0_at: u32,
  bias1_at: u32,
  bias2_at: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var<storage, read> weight0: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> weight1: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> weight2: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> out0: array<f32>;
@group(0) @binding(6) var<storage, read_write> out1: array<f32>;
@group(0) @binding(7) var<storage, read_write> out2: array<f32>;
@group(0) @binding(8) var<storage, read> bias0: array<f32>;
@group(0) @binding(9) var<storage, read> bias1: array<f32>;
@group(0) @binding(10) var<storage, read> bias2: array<f32>;

// The part of a tile of outputs, the tile's number in it, and the part's rows.
struct Tile {
  part: u32,
  number: u32,
  outputs: u32,
}
fn tile_of(index: u32) -> Tile {
  if (PARTS == 1u || index < p.tiles0) {
    return Tile(0u, index, p.outputs0);
  }
  if (index < p.tiles1) {
    return Tile(1u, index - p.tiles0, p.outputs1);
  }
  return Tile(2u, index - p.tiles1, p.outputs2);
}

fn weight_word(part: u32, i: u32) -> vec4<u32> {
  if (PARTS == 1u) {
    return weight0[i];
  }
  switch part {
    case 0u: { return weight0[i]; }
    case 1u: { return weight1[i]; }
    default: { return weight2[i]; }
  }
}

fn highs_at(part: u32) -> u32 {
  return of_part(part, p.highs0, p.highs1, p.highs2);
}
fn scales_at(part: u32) -> u32 {
  return of_part(part, p.scales0, p.scales1, p.scales2);
}
fn supers_at(part: u32) -> u32 {
  return of_part(part, p.supers0, p.supers1, p.supers2);
}
fn of_part(part: u32, first: u32, second: u32, third: u32) -> u32 {
  if (PARTS == 1u) {
    return first;
  }
  return select(select(third, second, part == 1u), first, part == 0u);
}

// An output of a row, if the part has it.
fn store(tile: Tile, row: u32, output: u32, product: f32) {
  if (output >= tile.outputs) {
    return;
  }
  if (PARTS == 1u) {
    out0[p.out0_at + row * p.width0 + output] = product + bias_of(0u, output);
    return;
  }
  switch tile.part {
    case 0u: { out0[p.out0_at + row * p.width0 + output] = product + bias_of(0u, output); }
    case 1u: { out1[p.out1_at + row * p.width1 + output] = product + bias_of(1u, output); }
    default: { out2[p.out2_at + row * p.width2 + output] = product + bias_of(2u, output); }
  }
}

fn bias_of(part: u32, output: u32) -> f32 {
  if (!BIAS) {
    return 0.0;
  }
  switch part {
    case 0u: { return bias0[p.bias0_at + output]; }
    case 1u: { return bias1[p.bias1_at + output]; }
    default: { return bias2[p.bias2_at + output]; }
  }
}
