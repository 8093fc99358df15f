import type { AttentionCommand } from '../device.js';
import { dot } from './arithmetic.js';
import { kvPages, pageOf, slotOf } from './kvPages.js';
import { floats } from './memory.js';

/** Attention over the cache: all positions up to the query's, or the last `window` of them, and to the end of its block. */
export function* attention(command: AttentionCommand): Generator<void> {
  const { rows, start, heads, window, scale, blocks = [], cache } = command;
  const { kvHeads, headDim } = cache;
  const q = floats(command.q, rows * heads * headDim);
  const out = floats(command.out, rows * heads * headDim);
  const logScale = command.logScale && floats(command.logScale, heads);
  const pages = kvPages(cache);
  const sum = new Float64Array(headDim);
  for (let r = 0; r < rows; r++) {
    const position = start + r;
    const first = window === 0 ? 0 : Math.max(0, position - window + 1);
    const block = blocks.find(({ from, to }) => from <= position && position < to);
    const last = block ? block.to - 1 : position;
    const weights = new Float64Array(last - first + 1);
    for (let h = 0; h < heads; h++) {
      const kvHead = Math.floor((h * kvHeads) / heads);
      const from = (r * heads + h) * headDim;
      const factor = scale * (logScale ? logScale[h]! * Math.log(position + 1) : 1);
      let max = -Infinity;
      for (let j = first; j <= last; j++) {
        const key = pages[pageOf(cache, j)]!.k.read(slotOf(cache, kvHead, j));
        const logit = factor * dot(q, from, key.values, key.at, headDim);
        weights[j - first] = logit;
        if (logit > max) max = logit;
      }
      let total = 0;
      sum.fill(0);
      for (let j = first; j <= last; j++) {
        const weight = Math.exp(weights[j - first]! - max);
        total += weight;
        const { values, at } = pages[pageOf(cache, j)]!.v.read(slotOf(cache, kvHead, j));
        for (let i = 0; i < headDim; i++) sum[i]! += weight * values[at + i]!;
      }
      for (let i = 0; i < headDim; i++) out[from + i] = sum[i]! / total;
      yield;
    }
  }
}
