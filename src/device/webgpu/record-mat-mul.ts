/** Products as dispatches: in their prefill and their decode form, of matrices that may be cut into shards. */
import type { MatMulCommand, View } from '../device.js';
import { groupsOf, type Bound, type Dispatch } from './dispatch.js';
import { bindings, quantizedRows, whole, type Quantized, type Recorder } from './recorder.js';
import { formatNumber, inBlocks, unit } from './weight-layout.js';
import type { GpuWeight, Shard } from './weights.js';

/** One matrix, or shard of one, of a product. */
interface Piece {
  readonly weight: GpuWeight;
  readonly shard: Shard;
  readonly out: View;
  readonly bias?: View;
}

/** Of mat_vec.wgsl and mat_mul.wgsl: outputs of a workgroup, and rows. */
const vecTile = 8;
const mulTile = 64;

/** With more rows, mat_mul.wgsl. */
const mostVecRows = 4;

/** Whether some weights are in blocks, and so meet x in int8. */
export function meetsBlocks({ parts }: MatMulCommand, to: Recorder): boolean {
  return parts.some(({ weight }) => inBlocks(to.weightOf(weight).format));
}

/** @param ready x in int8, if some kernel has written it so */
export function matMul(command: MatMulCommand, to: Recorder, ready: Quantized | null): Dispatch[] {
  const { x, rows, parts } = command;
  if (rows === 0) return [];
  const pieces = parts.flatMap(({ weight, out, bias }): Piece[] => {
    const known = to.weightOf(weight);
    return known.shards.map((shard) => ({ weight: known, shard, out, ...(bias && { bias }) }));
  });
  const dispatches: Dispatch[] = [];
  let quantized = ready;
  if (!quantized && meetsBlocks(command, to)) {
    const { inputs, units } = pieces[0]!.weight;
    quantized = quantizedRows(to, rows, units);
    dispatches.push({
      kernel: 'quantize_rows',
      constants: {},
      bind: { ...bindings(to, { x }), quants: whole(quantized.memory) },
      params: { rows, inputs, scales: quantized.scales },
      groups: groupsOf(Math.ceil((rows * units) / 64)),
      work: rows * inputs,
      bytes: rows * inputs * 5,
    });
  }
  for (let from = 0; from < pieces.length; ) {
    // Neighbours of the same format: a dispatch. Of many rows each matrix keeps the GPU busy by itself.
    const most = rows <= mostVecRows ? 3 : 1;
    let count = 1;
    while (count < most && from + count < pieces.length && pieces[from + count]!.weight.format === pieces[from]!.weight.format) count++;
    dispatches.push(product(pieces.slice(from, from + count), x, rows, quantized, to));
    from += count;
  }
  return dispatches;
}

/** Of the bindings of each piece. */
const names = [0, 1, 2].map((i) => ({ weightName: `weight${i}`, outName: `out${i}`, biasName: `bias${i}` }));

function product(pieces: readonly Piece[], x: View, rows: number, quantized: Quantized | null, to: Recorder): Dispatch {
  const { format, inputs, units } = pieces[0]!.weight;
  const blocks = inBlocks(format);
  const few = rows <= mostVecRows;
  const bind: Record<string, Bound> = { x: blocks ? whole(quantized!.memory) : to.memoryOf(x) };
  // Tiles up to the end of each piece.
  const tile = few ? vecTile : mulTile;
  const ends: number[] = [];
  for (let i = 0; i < 3; i++) {
    const piece = pieces[i];
    ends.push((ends[i - 1] ?? 0) + (piece ? Math.ceil(piece.shard.rows / tile) : 0));
    if (!piece) continue;
    const { shard, out, bias } = piece;
    const { weightName, outName, biasName } = names[i]!;
    bind[weightName] = whole(shard.memory);
    bind[outName] = to.memoryOf({ buffer: out.buffer, offset: out.offset + shard.first * 4 });
    if (bias) bind[biasName] = to.memoryOf({ buffer: bias.buffer, offset: bias.offset + shard.first * 4 });
  }
  const [a, b, c] = [pieces[0], pieces[1], pieces[2]];
  // A literal, since this is made for every product of every token.
  const params = {
    rows,
    zero: 0,
    inputs,
    units,
    x_scales: quantized?.scales ?? 0,
    tiles0: ends[0]!,
    tiles1: ends[1]!,
    tiles2: ends[2]!,
    outputs0: a?.shard.rows ?? 0,
    outputs1: b?.shard.rows ?? 0,
    outputs2: c?.shard.rows ?? 0,
    width0: a?.weight.outputs ?? 0,
    width1: b?.weight.outputs ?? 0,
    width2: c?.weight.outputs ?? 0,
    highs0: a?.shard.planes.highs ?? 0,
    highs1: b?.shard.planes.highs ?? 0,
    highs2: c?.shard.planes.highs ?? 0,
    scales0: a?.shard.planes.scales ?? 0,
    scales1: b?.shard.planes.scales ?? 0,
    scales2: c?.shard.planes.scales ?? 0,
    supers0: a?.shard.planes.supers ?? 0,
    supers1: b?.shard.planes.supers ?? 0,
    supers2: c?.shard.planes.supers ?? 0,
  };
  const dense = { TAIL: inputs % unit !== 0, ...(!few && { HALF: to.half && format === 'f16' }) };
  const constants = {
    FORMAT: formatNumber(format),
    COMPACT: to.software,
    PARTS: pieces.length === 1 ? 1 : 3,
    BIAS: pieces.some(({ bias }) => bias),
    ...(!blocks && dense),
    ...(few && { ROWS: rows === 1 ? 1 : mostVecRows }),
  };
  const outputs = pieces.reduce((sum, { shard }) => sum + shard.rows, 0);
  const weightBytes = pieces.reduce((sum, { shard }) => sum + shard.bytes, 0);
  return {
    kernel: few ? (blocks ? 'mat_vec_q8' : 'mat_vec') : blocks ? 'mat_mul_q8' : 'mat_mul',
    constants,
    bind,
    params,
    groups: few ? groupsOf(ends[2]!) : [ends[2]!, Math.ceil(rows / mulTile), 1],
    work: rows * inputs * outputs,
    bytes: weightBytes + rows * (inputs * (blocks ? 1.125 : 4) + outputs * 4),
  };
}
