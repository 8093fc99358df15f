/**
 * Damaged model files: never a crash, a hang or memory far beyond the file's size; refused with exit code 6 and one line,
 * or opened and used. A part of the cases by default; LODESTONE_HOSTILE=all runs 10,000 GGUF and 10,000 safetensors headers
 * and 1,000 of each JSON file, LODESTONE_HOSTILE_SEED draws others.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { showJson } from '../../src/weights/json.js';
import type { HostileReport } from './hostile-run.js';

const all = process.env['LODESTONE_HOSTILE'] === 'all';
const seed = process.env['LODESTONE_HOSTILE_SEED'] ?? '0';
const script = fileURLToPath(new URL('hostile-run.ts', import.meta.url));

/** Runs the cases in a process of its own; what the process printed last, where it ended badly. */
async function run(family: string, count: number): Promise<HostileReport> {
  const folder = mkdtempSync(join(tmpdir(), 'lodestone-hostile-'));
  // A leak, or a header believed, must not have a gigabyte to hide in.
  const child = spawn(process.execPath, ['--max-old-space-size=256', '--import', 'tsx', script, family, seed, String(count), folder]);
  let stdout = '';
  let stderr = '';
  let timer: NodeJS.Timeout | undefined;
  const hung = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  };
  hung();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-100_000);
    // Time is up for one case, not for all of them.
    hung();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-10_000)));
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.on('close', (...ended) => resolve(ended));
  });
  clearTimeout(timer);
  const last = stdout.trimEnd().split('\n').at(-1)!;
  if (code !== 0) throw new Error(`${family}, seed ${seed}, case ${last}: ended with ${signal ?? code}; its file is in ${folder}\n${stderr}`);
  rmSync(folder, { recursive: true });
  return JSON.parse(last) as HostileReport;
}

describe('damaged files', () => {
  it.each([
    // How many by default and in all; what at least must be refused and may be used, or the damage is none.
    ['gguf', 300, 10_000],
    ['safetensors', 300, 10_000],
    ['config', 100, 1000],
    ['tokenizer', 100, 1000],
    ['tokenizer-js', 100, 1000],
  ] as const)('%s: refused in one line, or used', async (family, some, every) => {
    const count = all ? every : some;
    const report = await run(family, count);
    if (all) console.log(family, JSON.stringify(report));
    expect(report.wrong).toEqual([]);
    expect(report.refused).toBeGreaterThan(count / 3);
    expect(report.used).toBeGreaterThan(0);
    expect(report.cases).toBe(count);
    expect(report.peakRss).toBeLessThan(400);
  }, 1_800_000);
});

it('shows values of any size and depth on one short line', () => {
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as unknown;
  expect([undefined, null, 1.5, 'a\nb', [1, 2], { a: 1 }, deep, { deep }].map(showJson)).toEqual(['missing', 'null', '1.5', String.raw`"a\nb"`, '[1,2]', '{"a":1}', 'a list', 'an object']);
  expect(showJson('x'.repeat(100))).toBe(`"${'x'.repeat(80)}..."`);
  expect(showJson(Array.from({ length: 1000 }, () => 1))).toBe('a list');
});
