/** outputRanges against dependencies traced one value at a time. */
import { describe, expect, it } from 'vitest';
import { outputRanges } from '../../src/gemma/graph.js';
import { randomizer } from '../device/cases.js';
import type { Kind } from './random-model.js';

/** First positions below `end` that are read, per layer; `end` where none is. */
interface Needed {
  readonly kvFrom: number[];
  readonly outFrom: number[];
}

/**
 * Marks what is read by the logits of the last `logitRows` positions and by any later position, back to the embedding.
 * Every layer's output at position p reads its input at p and K and V of all positions visible from p; K and V at p read
 * the layer's input at p.
 */
function traceReads(kinds: readonly Kind[], window: number, end: number, logitRows: number): Needed {
  const last = kinds.length - 1;
  const kv = kinds.map(() => new Set<number>());
  const out = kinds.map(() => new Set<number>());
  const visible = (layer: number, p: number): number[] =>
    Array.from({ length: p + 1 }, (_, j) => j).filter((j) => kinds[layer] === 'global' || p - j < window);

  const todo: ['kv' | 'out', number, number][] = [];
  const read = (what: 'kv' | 'out', layer: number, p: number): void => {
    const known = what === 'kv' ? kv : out;
    if (layer < 0 || p >= end || known[layer]!.has(p)) return;
    known[layer]!.add(p);
    todo.push([what, layer, p]);
  };
  for (let p = end - logitRows; p < end; p++) read('out', last, p);
  // Later positions compute everything of their own; of this prompt they read K and V.
  for (const layer of kinds.keys()) for (const j of visible(layer, end)) read('kv', layer, j);
  for (let next = todo.pop(); next; next = todo.pop()) {
    const [what, layer, p] = next;
    read('out', layer - 1, p);
    if (what === 'out') for (const j of visible(layer, p)) read('kv', layer, j);
  }
  const first = (positions: Set<number>): number => {
    const from = end - positions.size;
    for (let p = from; p < end; p++) if (!positions.has(p)) throw new Error('what is read is not a suffix');
    return from;
  };
  return { kvFrom: kv.map(first), outFrom: out.map(first) };
}

describe('outputRanges', () => {
  it('is what a trace of all reads finds, for random layer patterns, windows and lengths', () => {
    const random = randomizer(11);
    const below = (n: number): number => Math.floor(((random() + 1) / 2) * n);
    let skipping = 0;
    for (let round = 0; round < 1500; round++) {
      const bias = below(4);
      const kinds = Array.from({ length: 1 + below(7) }, (): Kind => (below(4) < bias ? 'global' : 'local'));
      const window = 1 + below(6);
      const end = 1 + below(25);
      const logitRows = below(2) === 0 ? below(2) : below(end + 1);
      const ranges = outputRanges({ layers: kinds.map((kind) => ({ kind })), window }, end, logitRows);
      expect(ranges, `${kinds.join(' ')}, window ${window}, end ${end}, logits of ${logitRows}`).toEqual(traceReads(kinds, window, end, logitRows));
      if (ranges.outFrom.some((from) => from > 0)) skipping++;
    }
    expect(skipping).toBeGreaterThan(500);
  });

  it('skips most of the two layers above the last global one of 1b', () => {
    const kinds = Array.from({ length: 26 }, (_, i): Kind => (i % 6 === 5 ? 'global' : 'local'));
    const { kvFrom, outFrom } = outputRanges({ layers: kinds.map((kind) => ({ kind })), window: 512 }, 32_768, 1);
    expect(outFrom.slice(22)).toEqual([0, 32_768 - 1 - 511 - 511, 32_768 - 1 - 511, 32_767]);
    expect(kvFrom.slice(22)).toEqual([0, 0, 32_768 - 1 - 511 - 511, 32_768 - 1 - 511]);
  });
});
