/** The gate sees what is computed wrongly, also where every needle is still found. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { NeedleReport } from '../../src/recall/reports/report.js';
import { scratch } from './run.js';

const script = fileURLToPath(new URL('sabotage.ts', import.meta.url));
const baseFile = path.join(scratch(), 'base.json');
const needles = ['--lengths', '1K', '--depths', '3', '-q', '--json'];

function needle(kind: string, args: readonly string[]): Promise<{ code: number; report: NeedleReport; stderr: string }> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--import', 'tsx', script, kind, ...needles, ...args], { maxBuffer: 1e8 }, (error, stdout, stderr) => {
      if (stdout === '') reject(new Error(stderr));
      else resolve({ code: Number(error?.code ?? 0), report: JSON.parse(stdout) as NeedleReport, stderr });
    });
  });
}

beforeAll(async () => {
  const { code, report } = await needle('none', ['--perplexity', '--min-recall', '0.9']);
  expect(code).toBe(0);
  writeFileSync(baseFile, JSON.stringify(report));
}, 240_000);

const gate = ['--baseline', baseFile, '--max-drop', '0', '--max-perplexity-change', '0.001'];

it('an unharmed runtime passes', async () => {
  const { code, report } = await needle('none', gate);
  expect([code, report.gate!.passed]).toEqual([0, true]);
  expect(report.comparison!.losses!.now).toBe(report.comparison!.losses!.before);
}, 240_000);

describe.each(['window too short by one', 'window too long by one', 'ring not wrapped', 'wrong RoPE base'])('%s', (kind) => {
  it('fails the gate with exit code 3', async () => {
    const { code, report, stderr } = await needle(kind, gate);
    expect(code).toBe(3);
    expect(report.gate!.checks.find(({ name }) => name === 'max-perplexity-change')!.passed).toBe(false);
    expect(stderr).toMatch(/gate failed: .*max-perplexity-change: perplexity went from \S+ to \S+, a change of/u);
  }, 240_000);
});
