/** Sessions as a user meets them: asked again in another process. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { Answer, Plan } from '../../src/answer/answer.js';
import { packageRoot } from '../../src/paths.js';
import { bigText, lodestone, scratch } from './run.js';

const report = path.join(packageRoot, 'fixtures', 'long-report.pdf');
const notes = path.join(packageRoot, 'fixtures', 'notes.md');
const question = 'What is the access code for the Harrow Lane archive?';

it('reads only the question the second time, and answers the same', { timeout: 180_000 }, async () => {
  const env = { XDG_CACHE_HOME: scratch() };
  const ask = async (...args: string[]): Promise<Answer> => JSON.parse((await lodestone(['ask', '--pages', '1-6', ...args, '--looks', '0', '--json'], { env })).stdout) as Answer;
  const cold = await ask(question, report, '--no-session');
  const first = await ask(question, report);
  const second = await ask(question, report);
  const { cached } = second.tokens;
  expect([cold.tokens.cached, first.tokens.cached]).toEqual([0, 0]);
  expect(cached).toBeGreaterThan(second.sources[0]!.tokens);
  for (const warm of [first, second]) {
    const [{ tokens: _a, timings: _b, ...told }, { tokens: _c, timings: _d, ...expected }] = [warm, cold];
    expect(told).toEqual(expected);
  }
  // One more file: only that is read. Without it again: nothing.
  expect((await ask(question, report, notes)).tokens.cached).toBe(cached);
  const plan = JSON.parse((await lodestone(['ask', '--pages', '1-6', 'Who?', report, notes, '--dry-run', '--json'], { env })).stdout) as Plan;
  expect(plan.tokens.cached).toBe(plan.tokens.sources + 1);
  // Another format of keys and values, pages, no session: nothing is reused.
  for (const other of [['--kv', 'f32'], ['--pages', '2-6']]) expect((await ask(question, report, ...other)).tokens.cached).toBe(0);

  const sessions = async (): Promise<{ id: string; tokens: number; sources: { path: string }[] }[]> =>
    JSON.parse((await lodestone(['session', 'ls', '--json'], { env })).stdout) as [];
  const all = await sessions();
  expect(all).toHaveLength(3);
  const both = all.find(({ sources }) => sources.length === 2)!;
  expect((await lodestone(['session', 'show', both.id.slice(0, 8)], { env })).stdout).toContain('notes.md');
  expect((await lodestone(['session', 'rm', both.id], { env })).code).toBe(0);
  expect(await sessions()).toHaveLength(2);
  expect((await lodestone(['session', 'rm', 'nothing'], { env })).code).toBe(2);
  expect((await lodestone(['session', 'prune', '--all'], { env })).stdout).toMatch(/^removed \d+ files, /u);
  expect(await sessions()).toEqual([]);
});

it('goes on where Ctrl-C has ended the run before', async () => {
  const env = { XDG_CACHE_HOME: scratch() };
  const file = path.join(scratch(), 'big.txt');
  await bigText(file, 700_000);
  writeFileSync(file, `${readFileSync(file, 'utf8')}The harbour master of Dunmore is Olga Reiss.\n`);
  const args = ['ask', 'Who is the harbour master of Dunmore?', file];
  const interrupted = await lodestone([...args, '--jsonl'], {
    env,
    during: (child) =>
      child.stdout!.on('data', (text: string) => {
        if (text.includes('"prefill"')) child.kill('SIGINT');
      }),
  });
  expect(interrupted.code).toBe(130);
  const plan = JSON.parse((await lodestone([...args, '--dry-run', '--json'], { env })).stdout) as Plan;
  expect(plan.tokens.cached).toBeGreaterThan(0);
  expect(plan.tokens.cached).toBeLessThan(plan.tokens.sources);
});

it('refuses a limit that is no size', async () => {
  const { code, stderr } = await lodestone(['ask', 'Who?', notes], { env: { LODESTONE_SESSION_BYTES: 'much' } });
  expect([code, stderr]).toEqual([2, 'lodestone: LODESTONE_SESSION_BYTES is "much", not a size such as 500M or 10G\n']);
});
