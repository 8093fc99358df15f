/** The view of `needle` on a terminal: the map stays there, and in the end nothing that was in progress does. */
import path from 'node:path';
import { Terminal } from '@xterm/headless';
import { spawn as spawnPty } from '@lydell/node-pty';
import { expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';

it.each(['', '1'])('shows the map and the gate, and leaves them (NO_COLOR=%j)', async (noColor) => {
  const terminal = new Terminal({ cols: 90, rows: 40, allowProposedApi: true });
  const env: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm-256color', COLORTERM: 'truecolor', NO_COLOR: noColor };
  delete env['CI'];
  delete env['GITHUB_ACTIONS'];
  delete env['FORCE_COLOR'];
  const args = ['needle', '--lengths', '256,512', '--depths', '2', '--min-recall', '0'];
  const pty = spawnPty(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), ...args], { cols: 90, rows: 40, env });
  let raw = '';
  pty.onData((data) => {
    raw += data;
    terminal.write(data);
  });
  expect(await new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)))).toBe(0);
  await new Promise<void>((resolve) => terminal.write('', resolve));
  const text = Array.from({ length: 40 }, (_, i) => terminal.buffer.active.getLine(i)?.translateToString(true) ?? '').join('\n');
  expect(text.split('gemini: Gemini')).toHaveLength(2);
  expect(text).toMatch(/256\s+512\n\s+0 % +(?:0|100) +(?:0|100) *\n\s+100 % +(?:0|100) +(?:0|100) *\n/u);
  expect(text).toMatch(/needle alone .*\n.*chance/u);
  expect(text).toMatch(/gate passed: recall of gemini/u);
  expect(text).not.toMatch(/█|reading \d+ %/u);
  // oxlint-disable-next-line no-control-regex -- a background colour
  expect(/\u001b\[(?:48;|4[0-7]m)/u.test(raw)).toBe(noColor === '');
});
