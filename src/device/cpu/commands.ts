/**
 * Commands as numbers: one flat array for the addon (kernels/cpu/decode.cc reads it in the same order), so that few
 * objects cross the boundary.
 */
import { checkCommands, pageRange, seenBy, type Ownership } from '../checkCommands.js';
import type { Command, KvCache, View } from '../device.js';
import { kvFormats } from '../kvLayout.js';
import { isGreedy, streamOf } from '../sampling.js';

const opcodes: Record<Command['op'], number> = {
  embed: 0,
  rmsNorm: 1,
  addNorm: 2,
  matMul: 3,
  normRope: 4,
  storeKv: 5,
  attention: 6,
  geGlu: 7,
  layerNorm: 8,
  gelu: 9,
  add: 10,
  averagePool: 11,
  geluErf: 12,
  unfold: 13,
  sample: 14,
};

/** Throws a RangeError that names the command and what is wrong with it. */
export function encodeCommands(commands: readonly Command[], owner: Ownership): Float64Array {
  checkCommands(commands, owner);
  return Float64Array.from(commands.flatMap((command) => [opcodes[command.op], ...encode(command)]));
}

function encode(command: Command): number[] {
  switch (command.op) {
    case 'embed':
      return [...view(command.ids), command.weight.id, command.scale, ...view(command.out), command.rows];
    case 'rmsNorm':
      return [...view(command.x), ...view(command.gain), ...view(command.out), command.rows, command.width, command.eps];
    case 'addNorm': {
      const { x, branch, gain, next, rows, width, eps } = command;
      return [...view(x), ...view(branch), ...view(gain), ...view(next && next.gain), ...view(next && next.out), rows, width, eps];
    }
    case 'matMul': {
      const { x, rows, parts } = command;
      return [...view(x), rows, parts.length, ...parts.flatMap(({ weight, out, bias }) => [weight.id, ...view(out), ...view(bias ?? null)])];
    }
    case 'normRope': {
      const { q, rows, heads, headDim, gain, eps, rope } = command;
      return [...view(q), rows, heads, headDim, ...view(gain), eps, ...view(rope)];
    }
    case 'storeKv': {
      const { k, v, rows, start, gain, eps, rope, cache } = command;
      return [...view(k), ...view(v), rows, start, ...view(gain), eps, ...view(rope), ...pages(cache, start, start + rows)];
    }
    case 'attention': {
      const { q, out, rows, start, heads, window, scale, logScale, blocks = [], cache } = command;
      const { from, to } = seenBy(command);
      return [
        ...view(q),
        ...view(out),
        rows,
        start,
        heads,
        window,
        scale,
        ...view(logScale),
        blocks.length,
        ...blocks.flatMap((block) => [block.from, block.to]),
        ...pages(cache, from, to),
      ];
    }
    case 'geGlu':
      return [...view(command.gate), ...view(command.up), ...view(command.out), command.count];
    case 'layerNorm': {
      const { x, gain, bias, out, rows, width, eps } = command;
      return [...view(x), ...view(gain), ...view(bias), ...view(out), rows, width, eps];
    }
    case 'gelu':
    case 'geluErf':
      return [...view(command.x), ...view(command.out), command.count];
    case 'add':
      return [...view(command.x), ...view(command.y), command.count];
    case 'unfold': {
      const { x, out, length, width, rows, taps, stride, pad } = command;
      return [...view(x), ...view(out), length, width, rows, taps, stride, pad];
    }
    case 'averagePool':
      return [...view(command.x), ...view(command.out), command.side, command.size, command.width];
    case 'sample': {
      const { logits, count, sampling, step, out } = command;
      const { temperature, topK = 0, topP = 1, minP = 0, seed = 0 } = sampling;
      return [...view(logits), count, isGreedy(sampling) ? 0 : temperature, topK, topP, minP, streamOf(seed, step), ...view(out)];
    }
  }
}

function view(at: View | null): readonly [id: number, offset: number] {
  return at ? [at.buffer.id, at.offset] : [-1, 0];
}

/** A cache, with those of its pages that hold positions from .. end - 1. */
function pages(cache: KvCache, from: number, end: number): number[] {
  const { ring, pageSlots, kvHeads, headDim, format } = cache;
  const range = pageRange(cache, from, end);
  const ids = cache.pages.slice(range.from, range.to).flatMap(({ k, v }) => [k.id, v.id]);
  return [ring ? 1 : 0, pageSlots, kvHeads, headDim, kvFormats.indexOf(format), range.from, range.to - range.from, ...ids];
}
