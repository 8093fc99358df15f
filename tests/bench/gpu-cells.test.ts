/** The GPU bench without a GPU: what it keeps, and what it prints. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CellFile, cellsMarkdown, type GpuCell } from '../../src/bench/gpu-cells.js';
import { withTempDir } from '../runtime/fixture.js';

const cell: GpuCell = {
  adapter: 'a GPU',
  kernels: 'abc',
  tier: 'subgroups',
  date: '2026-01-02',
  model: 'Gemma 3 4B',
  format: 'q8_0',
  depth: 4096,
  prefill: 2345.6,
  decode: 78.91,
  prefillShare: 0.456,
  decodeShare: 0.0712,
};

it('keeps cells by adapter and kernels: what is done is not measured again, but by other kernels it is', async () => {
  await withTempDir((dir) => {
    const path = join(dir, 'cells.json');
    new CellFile(path).add(cell);
    const again = new CellFile(path);
    const { adapter, kernels, model, format, depth } = cell;
    expect(again.has({ adapter, kernels, model, format, depth })).toBe(true);
    expect(again.has({ adapter, kernels: 'abd', model, format, depth })).toBe(false);
    expect(again.has({ adapter, kernels, model, format: 'bf16', depth })).toBe(false);
    again.add({ ...cell, kernels: 'abd' });
    expect(new CellFile(path).of({ adapter: { name: 'a GPU' }, kernels: 'abc' })).toEqual([cell]);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toHaveLength(2);
    // Cut short while it was written: the file before it is still there.
    writeFileSync(`${path}.part`, '[');
    expect(new CellFile(path).has({ adapter, kernels, model, format, depth })).toBe(true);
  });
});

it('writes a table for BENCHMARKS.md, with the adapter and the date', () => {
  const others: GpuCell[] = [{ ...cell, depth: 512, prefill: 3000 }, { ...cell, tier: 'plain', decode: 70 }];
  expect(cellsMarkdown([cell, ...others], { copy: 1.234e12, matMul: 4.2e13 })).toMatchInlineSnapshot(`
    "a GPU, 2026-01-02. Random weights. Copies 1230 GB/s; products of our own reach 42 TFLOP/s.
    More than 4096 tokens are not read whole: 9 chunks of 512, evenly spread, stand for all.

    | model | weights | depth | tier | reading, tok/s | of products | generating, tok/s | of bandwidth |
    |---|---|---|---|---|---|---|---|
    | Gemma 3 4B | q8_0 | 4096 | subgroups | 2346 | 46 % | 78.9 | 7.1 % |
    | Gemma 3 4B | q8_0 | 4096 | plain | 2346 | 46 % | 70.0 | 7.1 % |
    | Gemma 3 4B | q8_0 | 512 | subgroups | 3000 | 46 % | 78.9 | 7.1 % |
    "
  `);
  expect(cellsMarkdown([], { copy: 1, matMul: 1 })).toBe('Nothing measured yet.\n');
});
