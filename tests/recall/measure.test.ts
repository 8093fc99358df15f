import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

it.each([
  [['--help'], 0, /^Usage: recall/],
  [['--lengths', '1024,x'], 2, /--lengths <list>.*'1024,x' is invalid/],
  [['--lengths', '12'], 2, /at least 128/],
  [['--trials', '0'], 2, /--trials <n>/],
  [['--device', 'gpu'], 2, /auto, cpu, reference/],
  [['--quick'], 2, /unknown option/],
  [['--model', 'nowhere'], 6, /^recall: nowhere: no such model directory\n$/],
] as const)('recall %j exits with %i', (args, status, text) => {
  const script = fileURLToPath(new URL('../../src/recall/measure.ts', import.meta.url));
  const result = spawnSync(process.execPath, ['--import', 'tsx', script, ...args], { encoding: 'utf8' });
  expect(status === 0 ? result.stdout : result.stderr).toMatch(text);
  expect(result.stderr.split('\n').length).toBeLessThanOrEqual(2);
  expect(result.status).toBe(status);
});
