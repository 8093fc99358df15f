import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import type { PerplexityReport } from '../../src/recall/reports/perplexity.js';
import { lodestone, modelWith, scratch } from './run.js';

const text = path.join(packageRoot, 'fixtures', 'long-report-source.txt');
const dir = scratch();

it('prints a curve, its law, JSON and SVG, and gates by a baseline', async () => {
  const svg = path.join(dir, 'p.svg');
  const base = path.join(dir, 'base.json');
  const first = await lodestone(['perplexity', text, '--tokens', '1200', '--json', '--svg', svg], { timeoutMs: 120_000 });
  expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(/was trained to answer and not to foretell/u)]);
  const report = JSON.parse(first.stdout) as PerplexityReport;
  expect(report).toMatchObject({ schema: 'lodestone.perplexity/1', tokens: 1199, files: [{ tokens: 1199 }], gate: null, baseline: null });
  expect(report.points.map(({ tokens }) => tokens)).toEqual([128, 256, 512, 1024, 1199]);
  expect(report.perplexity).toBeCloseTo(Math.exp(report.loss), 9);
  expect(readFileSync(svg, 'utf8')).toMatch(/^<svg [\s\S]*<polyline[\s\S]*<\/svg>\n$/u);
  writeFileSync(base, first.stdout);

  const same = await lodestone(['perplexity', text, '--tokens', '1200', '--baseline', base, '--max-change', '0', '-q'], { timeoutMs: 120_000 });
  expect(same).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/L\(x\) = [\s\S]*gate passed: perplexity went from/u) as string });
  const damaged = await lodestone(['perplexity', text, '--tokens', '1200', '--baseline', base, '--max-change', '0.001', '-q', '-m', modelWith({ sliding_window: 64 })], { timeoutMs: 120_000 });
  expect(damaged).toMatchObject({ code: 3, stdout: expect.stringMatching(/gate failed: max-change: /u) as string });
}, 300_000);

it.each([
  [[text, '--max-change', '0.1'], 2, /needs --baseline/u],
  [[text, '--tokens', '1'], 2, /--tokens/u],
  [['nowhere.txt'], 7, /nowhere\.txt/u],
  [[text, '-m', 'nowhere'], 6, /nowhere/u],
  [[], 2, /missing required argument/u],
] as const)('%j', async (args, code, message) => {
  const outcome = await lodestone(['perplexity', ...args]);
  expect(outcome.stderr).toMatch(message);
  expect([outcome.code, outcome.stdout]).toEqual([code, '']);
});
