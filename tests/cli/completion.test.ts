/** Completion as the real shells do it, where they are installed, and the manual page as man shows it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Terminal } from '@xterm/headless';
import { spawn as spawnPty } from '@lydell/node-pty';
import { describe, expect, it } from 'vitest';
import { lodestone, scratch } from './run.js';

const there = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

async function script(shell: string): Promise<string> {
  const { code, stdout } = await lodestone(['completion', shell]);
  expect(code).toBe(0);
  const file = path.join(scratch(), shell === 'zsh' ? '_lodestone' : `lodestone.${shell}`);
  writeFileSync(file, stdout);
  return file;
}

it.skipIf(!there('bash'))('bash completes verbs, options and choices', async () => {
  const file = await script('bash');
  const complete = (...words: string[]): string[] => {
    const line = words.map((word) => `'${word}'`).join(' ');
    const program = `source '${file}'; COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _lodestone; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' }).trim().split('\n');
  };
  expect(complete('lodestone', 'a')).toEqual(['ask']);
  expect(complete('lodestone', 'se')).toEqual(['session']);
  expect(complete('lodestone', 'session', '')).toEqual(['ls', 'show', 'rm', 'prune']);
  expect(complete('lodestone', 'ask', '--no-s')).toEqual(['--no-session']);
  expect(complete('lodestone', 'ask', 'x', '--device', '')).toEqual(['auto', 'webgpu', 'cpu', 'reference']);
  expect(complete('lodestone', 'models', 'convert', '--to', 'q')).toEqual(['q8_0', 'q4_0']);
  expect(complete('lodestone', 'completion', 'f')).toEqual(['fish']);
  // A file, which bash does by itself.
  expect(complete('lodestone', 'ask', 'What?', 're')).toEqual(['']);
  expect(complete('lodestone', 'ask', '--mmproj', 're')).toEqual(['']);
});

it.skipIf(!there('fish'))('fish completes verbs, options and choices', async () => {
  const file = await script('fish');
  const complete = (line: string): string[] =>
    execFileSync('fish', ['--no-config', '-c', `source '${file}'; complete -C '${line}'`], { encoding: 'utf8', env: { ...process.env, HOME: scratch() } })
      .trim()
      .split('\n')
      .map((found) => found.split('\t')[0]!);
  expect(complete('lodestone a')).toEqual(['ask']);
  expect(complete('lodestone session ').slice(0, 4)).toEqual(expect.arrayContaining(['ls', 'prune', 'rm', 'show']));
  expect(complete('lodestone ask --no-s')).toEqual(['--no-session']);
  expect(complete('lodestone ask x --device ')).toEqual(['auto', 'cpu', 'reference', 'webgpu']);
  expect(complete('lodestone session prune --da')).toEqual(['--days']);
});

describe.skipIf(!there('zsh'))('zsh', () => {
  it('completes verbs, options and choices', { timeout: 60_000 }, async () => {
    const folder = path.dirname(await script('zsh'));
    const home = scratch();
    mkdirSync(path.join(home, 'empty'));
    const env = { ...process.env, HOME: home, ZDOTDIR: home, TERM: 'xterm', PS1: '%% ' };
    const terminal = new Terminal({ cols: 120, rows: 24, allowProposedApi: true });
    const shell = spawnPty('zsh', ['-f', '-i'], { cols: 120, rows: 24, cwd: path.join(home, 'empty'), env });
    shell.onData((data) => terminal.write(data));
    const until = async (what: string): Promise<void> => {
      for (const end = performance.now() + 20_000; ; ) {
        await new Promise<void>((resolve) => terminal.write('', resolve));
        const screen = Array.from({ length: 24 }, (_, i) => terminal.buffer.active.getLine(i)?.translateToString(true) ?? '').join('\n');
        if (screen.includes(what)) return;
        if (performance.now() > end) throw new Error(`"${what}" does not come:\n${screen}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    shell.write(`fpath=('${folder}' $fpath); autoload -Uz compinit; compinit -u -d '${home}/dump'; clear; echo rea""dy\n`);
    await until('ready');
    for (const [typed, completed] of [['lodestone as\t.', 'lodestone ask .'], ['lodestone ask --no-s\t', '-- read everything again'], ['lodestone ask x --device ref\t.', 'reference .'], ['lodestone session pr\t.', 'session prune .']] as const) {
      shell.write(typed);
      await until(completed);
      shell.write('\u0015');
    }
    shell.kill('SIGKILL');
  });
});

it('prints a manual page that man takes without a warning', async () => {
  const { stdout } = await lodestone(['man']);
  expect(stdout).toMatch(/^\.TH LODESTONE 1 /u);
  for (const what of ['.SH SESSION PRUNE', String.raw`.B lodestone ask`, String.raw`.BR \-m ", " \-\-model " \fImodel\fR"`, '.SH EXIT STATUS']) expect(stdout).toContain(what);
  if (!there('man')) return;
  const page = spawnSync('man', ['--warnings', '-l', '-'], { input: stdout, encoding: 'utf8', env: { ...process.env, MANPAGER: 'cat', MANWIDTH: '80', LC_ALL: 'C.UTF-8' } });
  expect(page.stderr).toBe('');
  expect(page.stdout).toContain('--require-citations');
});

it('doctor says what is there and what is missing', async () => {
  const env = { PATH: path.join(scratch(), 'nothing'), HOME: scratch(), LODESTONE_HOME: scratch(), HF_HOME: scratch() };
  const { code, stdout } = await lodestone(['doctor', '--json'], { env });
  const { schema, checks } = JSON.parse(stdout) as { schema: string; checks: { name: string; state: string; remedy: string | null }[] };
  expect([code, schema]).toEqual([0, 'lodestone.doctor/1']);
  const states = Object.fromEntries(checks.map(({ name, state }) => [name, state]));
  expect(states).toMatchObject({ node: 'ok', 'embedded model': 'ok', models: 'missing', sessions: 'ok' });
  for (const { state, remedy } of checks) expect(state === 'missing').toBe(remedy !== null);
  const plain = await lodestone(['doctor'], { env });
  expect(plain.stdout).toMatch(/^ok +node /mu);
  expect(plain.stdout).toMatch(/^missing +models .*\n +-> lodestone models pull/mu);
});
