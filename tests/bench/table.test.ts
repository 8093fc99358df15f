import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { emptyTable, isMeasured, readTable, tableMarkdown, withCell, type Table, type TableCell } from '../../src/bench/table.js';
import { writeJson } from '../../src/bench/run-bench.js';

const folder = mkdtempSync(join(tmpdir(), 'lodestone-table-'));
afterAll(() => rmSync(folder, { recursive: true }));

const subject = { device: 'cpu (1 thread, AVX2)', addon: 'a'.repeat(64) };
const cell: TableCell = { model: '1b-q4_0', depth: 512, generate: 24, runs: 3, ...subject, ours: { prefill: 130, decode: 16.5 }, peer: { prefill: 50, decode: 15 } };

it('does not measure a cell again, unless more runs, another length, device or build are asked for', () => {
  const asked = { subject, runs: 3, generate: 24 };
  expect(isMeasured(cell, '1b-q4_0', 512, asked)).toBe(true);
  expect(isMeasured(cell, '1b-q4_0', 512, { ...asked, runs: 2 })).toBe(true);
  expect(isMeasured(cell, '1b-q4_0', 512, { ...asked, runs: 4 })).toBe(false);
  expect(isMeasured(cell, '1b-q4_0', 512, { ...asked, generate: 25 })).toBe(false);
  expect(isMeasured(cell, '1b-q8_0', 512, asked)).toBe(false);
  expect(isMeasured(cell, '1b-q4_0', 4096, asked)).toBe(false);
  expect(isMeasured(cell, '1b-q4_0', 512, { ...asked, subject: { ...subject, addon: 'b'.repeat(64) } })).toBe(false);
  expect(isMeasured(cell, '1b-q4_0', 512, { ...asked, subject: { ...subject, device: 'cpu (2 threads, AVX2)' } })).toBe(false);
});

it('replaces a cell only by one of the same build', () => {
  const again = { ...cell, runs: 5 };
  const rebuilt = { ...cell, addon: 'b'.repeat(64) };
  expect(withCell(withCell(withCell(emptyTable, cell), again), rebuilt).cells).toEqual([again, rebuilt]);
});

it('keeps the table in a file, and takes no other for it', () => {
  const path = join(folder, 'table.json');
  expect(readTable(path)).toEqual(emptyTable);
  const table = withCell(emptyTable, cell);
  writeJson(path, table);
  expect(readTable(path)).toEqual(table);
  expect(readdirSync(folder)).toEqual(['table.json']);
  writeFileSync(path, JSON.stringify({ schema: 'another' }));
  expect(() => readTable(path)).toThrow(`${path} is no table of this benchmark`);
});

it('shows models and depths in order, with ratios, without those of other builds', () => {
  const cells: TableCell[] = [cell, { ...cell, model: '270m-q8_0', depth: 4096, peer: null }, { ...cell, model: '270m-q8_0' }, { ...cell, addon: 'b'.repeat(64), depth: 9 }];
  const load = { model: '1b-q4_0', ...subject, ms: { start: 150, files: 350.4, weights: 40, firstToken: 200, total: 740.4 }, resident: { own: 64 * 2 ** 20, mapped: 1500 * 2 ** 20 } };
  const table: Table = { ...emptyTable, cells, loads: [load, { ...load, device: 'another', resident: null }] };
  const rows = tableMarkdown(table, subject).split('\n').filter((line) => /^\| \d/.test(line));
  expect(rows).toEqual([
    '| 270m-q8_0 | 512 | 130 | 50.0 | 2.60 | 16.5 | 15.0 | 1.10 | 3 |',
    '| 270m-q8_0 | 4,096 | 130 | |  | 16.5 | |  | 3 |',
    '| 1b-q4_0 | 512 | 130 | 50.0 | 2.60 | 16.5 | 15.0 | 1.10 | 3 |',
    '| 1b-q4_0 | 740 ms | 150 ms | 350 ms | 40 ms | 200 ms | 64 MiB | 1,500 MiB |',
  ]);
});
