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

function product(pieces: readonly Piece[], x: View, rows: number, quantized: Quantized | null, to: Recorder): Dispatch {
  const { format, inputs, units } = pieces[0]!.weight;
  const blocks = inBlocks(format);
  const few = rows <= mostVecRows;
  const bind: Record<string, Bound> = { x: blocks ? whole(quantized!.memory) : to.memoryOf(x) };
  const params: Record<string, number> = { rows, zero: 0, inputs, units, x_scales: quantized?.scales ?? 0 };
  let tiles = 0;
  for (let i = 0; i < 3; i++) {
    const piece = pieces[i];
    tiles += piece ? Math.ceil(piece.shard.rows / (few ? vecTile : mulTile)) : 0;
    params[`tiles${i}`] = tiles;
    params[`outputs${i}`] = piece?.shard.rows ?? 0;
    params[`width${i}`] = piece?.weight.outputs ?? 0;
    for (const plane of ['highs', 'scales', 'supers'] as const) params[`${plane}${i}`] = piece?.shard.planes[plane] ?? 0;
    if (!piece) continue;
    const { shard, out, bias } = piece;
    bind[`weight${i}`] = whole(shard.memory);
    bind[`out${i}`] = to.memoryOf({ ...out, offset: out.offset + shard.first * 4 });
    if (bias) bind[`bias${i}`] = to.memoryOf({ ...bias, offset: bias.offset + shard.first * 4 });
  }
  const constants = { FORMAT: formatNumber(format), COMPACT: to.software, PARTS: pieces.length === 1 ? 1 : 3, BIAS: pieces.some(({ bias }) => bias), ...(blocks ? {} : { TAIL: inputs % unit !== 0 }) };
  const outputs = pieces.reduce((sum, { shard }) => sum + shard.rows, 0);
  const weightBytes = pieces.reduce((sum, { shard }) => sum + shard.bytes, 0);
  return {
    kernel: few ? (blocks ? 'mat_vec_q8' : 'mat_vec') : blocks ? 'mat_mul_q8' : 'mat_mul',
    constants: few ? { ...constants, ROWS: rows === 1 ? 1 : mostVecRows } : constants,
    bind,
    params,
    groups: few ? groupsOf(tiles) : [tiles, Math.ceil(rows / mulTile), 1],
    work: rows * inputs * outputs,
    bytes: weightBytes + rows * (inputs * (blocks ? 1.125 : 4) + outputs * 4),
  };
}
