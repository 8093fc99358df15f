/**
 * A list of commands as dispatches: which kernel, in which variant, on how many workgroups. Sizes have been checked before.
 *
 * Two things that neighbours in the list have in common are done in one dispatch, so that a layer takes ten of them to decode
 * a token: what products with weights in blocks need in int8 is written by the kernel that makes it, and keys and queries are
 * normalised and rotated together.
 */
import type { AddNormCommand, Command, EmbedCommand, GeGluCommand, MatMulCommand, NormRopeCommand, RmsNormCommand, View } from '../device.js';
import { groupsOf, type Dispatch } from './dispatch.js';
import { attention } from './record-attention.js';
import { matMul, meetsBlocks } from './record-mat-mul.js';
import { recordSample } from './record-sample.js';
import { storeKv } from './record-store-kv.js';
import { bindings, perElement, perRow, quantizedRows, quantizing, whole, type Quantized, type Recorder } from './recorder.js';
import { formatNumber } from './weight-layout.js';

export function record(commands: readonly Command[], to: Recorder): Dispatch[] {
  const dispatches: Dispatch[] = [];
  let ready: Quantized | null = null;
  for (let i = 0; i < commands.length; i++) {
    const command = commands[i]!;
    const next = commands[i + 1];
    if (command.op === 'storeKv' && next?.op === 'normRope') {
      const together = storeKv(command, to, next);
      if (together) {
        dispatches.push(...together);
        i++;
        continue;
      }
    }
    const into = next?.op === 'matMul' && readsResultOf(command, next, to) ? quantizedRows(to, next.rows, to.weightOf(next.parts[0]!.weight).units) : null;
    dispatches.push(...recordOne(command, to, ready, into));
    ready = into;
  }
  return dispatches;
}

/** Whether a product needs in int8 just what the command before it makes. */
function readsResultOf(command: Command, product: MatMulCommand, to: Recorder): boolean {
  if (product.rows === 0 || !meetsBlocks(product, to)) return false;
  const { inputs } = product.parts[0]!.weight;
  const same = (out: View, elements: number): boolean => out.buffer.id === product.x.buffer.id && out.offset === product.x.offset && elements === product.rows * inputs;
  switch (command.op) {
    case 'rmsNorm':
      return command.width === inputs && same(command.out, command.rows * inputs);
    case 'addNorm':
      return command.next !== null && command.width === inputs && same(command.next.out, command.rows * inputs);
    case 'geGlu':
      return same(command.out, command.count);
    case 'attention':
      return command.cache.headDim % 32 === 0 && command.heads * command.cache.headDim === inputs && same(command.out, command.rows * inputs);
    default:
      return false;
  }
}

/** @param ready of a product: x, in int8 already. @param into also write the result there, in int8 */
function recordOne(command: Command, to: Recorder, ready: Quantized | null, into: Quantized | null): Dispatch[] {
  switch (command.op) {
    case 'embed':
      return embed(command, to);
    case 'rmsNorm':
      return rmsNorm(command, to, into);
    case 'addNorm':
      return addNorm(command, to, into);
    case 'layerNorm': {
      const { rows, width, eps } = command;
      const bind = bindings(to, { x: command.x, gain: command.gain, bias: command.bias, out: command.out });
      return perRow({ kernel: 'layer_norm', constants: {}, bind, params: { rows, width, eps } }, rows, width, 2);
    }
    case 'matMul':
      return matMul(command, to, ready);
    case 'normRope':
      return normRope(command, to);
    case 'storeKv':
      return storeKv(command, to, null)!;
    case 'attention':
      return attention(command, to, into);
    case 'geGlu':
      return geGlu(command, to, into);
    case 'gelu':
      return perElement({ kernel: 'gelu', constants: { EXACT: false }, bind: bindings(to, { x: command.x, out: command.out }), params: {} }, command.count, 2);
    case 'geluErf':
      return perElement({ kernel: 'gelu', constants: { EXACT: true }, bind: bindings(to, { x: command.x, out: command.out }), params: {} }, command.count, 2);
    case 'unfold': {
      const { length, width, rows, taps, stride, pad } = command;
      const bind = bindings(to, { x: command.x, out: command.out });
      return perElement({ kernel: 'unfold', constants: {}, bind, params: { length, width, rows, taps, stride, pad } }, rows * taps * width, 2);
    }
    case 'add':
      return perElement({ kernel: 'add', constants: {}, bind: bindings(to, { x: command.x, y: command.y }), params: {} }, command.count, 3);
    case 'averagePool': {
      const { side, size, width } = command;
      const bind = bindings(to, { x: command.x, out: command.out });
      return perElement({ kernel: 'average_pool', constants: {}, bind, params: { side, size, width } }, (side / size) ** 2 * width, 1 + size ** 2);
    }
    case 'sample':
      return recordSample(command, to);
  }
}

function embed({ ids, weight, scale, out, rows }: EmbedCommand, to: Recorder): Dispatch[] {
  if (rows === 0) return [];
  const { shards, format, inputs, outputs, units } = to.weightOf(weight);
  return shards.map(({ memory, first, rows: count, planes }) => ({
    kernel: 'embed',
    constants: { FORMAT: formatNumber(format) },
    bind: { ...bindings(to, { ids, out }), weight: whole(memory) },
    params: { rows, inputs, outputs, first, count, units, ...planes, scale },
    groups: groupsOf(rows),
    work: rows * inputs,
    bytes: rows * inputs * 8,
  }));
}

function rmsNorm({ x, gain, out, rows, width, eps }: RmsNormCommand, to: Recorder, into: Quantized | null): Dispatch[] {
  const more = quantizing(into);
  const bind = { ...bindings(to, { x, gain, out }), ...more.bind };
  return perRow({ kernel: 'rms_norm', constants: more.constants, bind, params: { rows, width, eps, ...more.params } }, rows, width, 2);
}

function addNorm({ x, branch, gain, next, rows, width, eps }: AddNormCommand, to: Recorder, into: Quantized | null): Dispatch[] {
  const more = quantizing(into);
  const bind = { ...bindings(to, { x, branch, gain, ...(next && { next_gain: next.gain, next_out: next.out }) }), ...more.bind };
  const constants = { NEXT: next !== null, ...more.constants };
  return perRow({ kernel: 'add_norm', constants, bind, params: { rows, width, eps, ...more.params } }, rows, width, next ? 4 : 3);
}

function geGlu({ gate, up, out, count }: GeGluCommand, to: Recorder, into: Quantized | null): Dispatch[] {
  const more = quantizing(into);
  return perElement({ kernel: 'ge_glu', constants: more.constants, bind: { ...bindings(to, { gate, up, out }), ...more.bind }, params: more.params }, count, 3);
}

function normRope({ q, rows, heads, headDim, gain, eps, rope }: NormRopeCommand, to: Recorder): Dispatch[] {
  if (rows === 0) return [];
  return [
    {
      kernel: 'norm_rope',
      constants: { HEAD_DIM: headDim, ROPE: rope !== null },
      bind: bindings(to, { q, q_gain: gain, ...(rope && { rope }) }),
      params: { rows, heads, eps },
      groups: groupsOf(rows * heads),
      work: rows * heads * headDim * 4,
      bytes: rows * heads * headDim * 8,
    },
  ];
}
