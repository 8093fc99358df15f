import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { writeColourTower } from '../see/colour-tower.js';

it.each([
  [['--help'], 0, /^Usage: recall/],
  [['--lengths', '1024,x'], 2, /--lengths <list>.*'1024,x' is invalid/],
  [['--suite', 'gemini', '--lengths', '12'], 2, /^recall: --lengths has 12, but the suite gemini needs at least 256 tokens\n$/],
  [['--suite', 'video', '--lengths', '9', '--see', 'nowhere'], 6, /nowhere/],
  [['--suite', 'ruler', '--tasks', 'qa_3'], 2, /--tasks <name\.\.\.>.*qa_1, qa_2/],
  [['--suite', 'ruler', '--hotpotqa', 'package.json'], 7, /^recall: package\.json: holds no questions in the form of HotpotQA/],
  [['--lengths', '4G'], 2, /4096,32K,1M/],
  [['--suite', 'hay'], 2, /--suite <name\.\.\.>.*gemini, kamradt, heldout/],
  [['--suite', 'gemini', '--lengths', '1000M'], 4, /^recall: --lengths has 1048576000 tokens, but \S+ holds \d+\n$/],
  [['--suite', 'multi', '--lengths', '300'], 2, /^recall: --lengths has 300, but the suite multi needs at least 2,656 tokens\n$/],
  [['--suite', 'squad', '--squad', 'nowhere.json'], 7, /^recall: nowhere\.json: /],
  [['--suite', 'gemini', '--haystack', 'nowhere.txt'], 7, /^recall: nowhere\.txt: /],
  [['--trials', '0'], 2, /--trials <n>/],
  [['--device', 'gpu'], 2, /auto, webgpu, cpu, reference/],
  [['--quick'], 2, /unknown option/],
  [['--model', 'nowhere'], 6, /^recall: nowhere: no such model directory\n$/],
] as const)('recall %j exits with %i', (args, status, text) => {
  const script = fileURLToPath(new URL('../../src/recall/measure.ts', import.meta.url));
  const result = spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' });
  expect(status === 0 ? result.stdout : result.stderr).toMatch(text);
  expect(result.stderr.split('\n').length).toBeLessThanOrEqual(2);
  expect(result.status).toBe(status);
});

it('recall --json prints one object, with the suites asked for and no other', () => {
  const script = fileURLToPath(new URL('../../src/recall/measure.ts', import.meta.url));
  const args = ['--suite', 'babilong', 'squad', '--lengths', '512', '--trials', '2', '--looks', '0', '--json'];
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' });
  expect([stderr, status]).toEqual(['', 0]);
  const report = JSON.parse(stdout) as { schema: string; suites: { name: string; rows: { length: number | null; parts: { once: { trials: number } }[] }[] }[]; documents: null };
  expect(report.schema).toBe('lodestone.recall/1');
  expect(report.documents).toBeNull();
  expect(report.suites.map(({ name, rows }) => [name, rows.map(({ length, parts }) => [length, parts[0]!.once.trials])])).toEqual([
    ['babilong', [[512, 1]]],
    ['squad', [[null, 2], [512, 2]]],
  ]);
});

it('recall shows films to what reads pictures, of as many seconds as asked for', () => {
  const see = mkdtempSync(path.join(os.tmpdir(), 'lodestone-see-'));
  writeColourTower(see);
  const script = fileURLToPath(new URL('../../src/recall/measure.ts', import.meta.url));
  const args = ['--suite', 'video', '--see', see, '--lengths', '10,12', '--trials', '2', '--looks', '0'];
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' });
  rmSync(see, { recursive: true });
  expect([stderr, status]).toEqual(['', 0]);
  expect(stdout).toMatch(/^ +10 seconds {2}\d\/2 [\s\S]*^ +12 seconds {2}\d\/2 /mu);
});
