/** What was on the terminal before, and what scrolled off it, is the user's: the view must never clear it. */
import path from 'node:path';
import { Terminal } from '@xterm/headless';
import { spawn as spawnPty } from '@lydell/node-pty';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';

it.each([24, 6, 3])('a long run never clears a terminal of %i rows', async (rows) => {
  const terminal = new Terminal({ cols: 80, rows, scrollback: 10_000, allowProposedApi: true });
  const env: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm-256color', NODE_ENV: 'production' };
  delete env['CI'];
  const script = path.join(packageRoot, 'tests', 'ui', 'long-run.ts');
  const pty = spawnPty(process.execPath, ['--import', 'tsx', script], { cols: 80, rows, env, cwd: packageRoot });
  let raw = '';
  pty.onData((data) => {
    raw += data;
    terminal.write(data);
  });
  expect(await new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)))).toBe(0);
  await new Promise<void>((resolve) => terminal.write('', resolve));
  // oxlint-disable-next-line no-control-regex -- clearing the screen or its history, and resetting the terminal
  expect(raw).not.toMatch(/\u001b\[[23]J|\u001bc/u);

  const { active } = terminal.buffer;
  const text = Array.from({ length: active.length }, (_, i) => active.getLine(i)!.translateToString(true)).join('\n');
  const times = (what: string): number => text.split(what).length - 1;
  expect(times('! warning ')).toBe(30);
  expect(times('source-7.pdf')).toBe(1);
  expect(times('and 32 more')).toBe(1);
  // The answer and every quote stand there once, whole; nothing that was in progress is left.
  expect(text).toMatch(/and 32 more\s+word0 word1 /u);
  expect([times('word0 '), times('word599'), times('end-one'), times('end-two')]).toEqual([1, 1, 2, 1]);
  expect(text).not.toMatch(/tokens\/s|█/u);
});
