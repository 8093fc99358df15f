import { expect, it } from 'vitest';
import type { AskEvent } from '../../src/answer/answer.js';
import { withPlaces } from '../../src/answer/place-events.js';

it('tells which page of which source is being read', () => {
  const source = (path: string, segments: object[]): never => ({ source: { path }, segments, warnings: [] }) as never;
  const sources = [source('a.pdf', [{ source: 0, page: 2, text: '' }, { source: 0, page: 5, text: '' }]), source('b.txt', [{ source: 1, line: 7, text: '' }])];
  const prompt = { ids: new Uint32Array(40), sourceTokens: [19, 10], segmentEnds: [11, 20, 30], sourceEnds: [20, 30] };
  const seen: AskEvent[] = [];
  const emit = withPlaces(prompt, sources, (event) => seen.push(event));
  const at = (position: number): unknown => {
    emit({ type: 'prefill', done: position - 5, total: 35, cached: 5, tokens_per_second: 1, eta_seconds: 1 });
    const event = seen.at(-1)!;
    return event.type === 'prefill' ? event.at : null;
  };
  expect([5, 10, 11, 19, 20, 29, 30, 40].map(at)).toEqual([
    ...[2, 2, 5, 5].map((page) => ({ source: 'a.pdf', page })),
    ...[7, 7].map((line) => ({ source: 'b.txt', line })),
    undefined,
    undefined,
  ]);
  emit({ type: 'look', done: 0, total: 1 });
  expect(seen.at(-1)).toEqual({ type: 'look', done: 0, total: 1 });
});
