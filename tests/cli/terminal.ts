/** The program in a terminal: what stands on its screen, and keys pressed. */
import path from 'node:path';
import headless from '@xterm/headless';
import { spawn } from '@lydell/node-pty';
import { packageRoot } from '../../src/paths.js';

export interface Running {
  /** What stands on the screen, without the blank rows at its end. */
  screen(): Promise<string>;
  /** All bytes written so far. */
  raw(): string;
  type(keys: string): void;
  resize(columns: number, rows: number): void;
  kill(signal: string): void;
  /** Until the screen shows this; throws with the screen after some seconds. */
  until(what: RegExp, seconds?: number): Promise<string>;
  readonly exited: Promise<number>;
}

export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: NodeJS.ProcessEnv;
}

export function inTerminal(args: readonly string[], { columns = 80, rows = 24, env = {} }: TerminalOptions = {}): Running {
  const terminal = new headless.Terminal({ cols: columns, rows, allowProposedApi: true });
  const all: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm-256color', ...env };
  delete all['CI'];
  const pty = spawn(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), ...args], { cols: columns, rows, env: all, cwd: packageRoot });
  let raw = '';
  pty.onData((data) => {
    raw += data;
    terminal.write(data);
  });
  const exited = new Promise<number>((resolve) => pty.onExit(({ exitCode, signal }) => resolve(signal ? 128 + signal : exitCode)));
  const screen = async (): Promise<string> => {
    // Writes are queued; an empty one is called back when all before it are on the screen.
    await new Promise<void>((resolve) => terminal.write('', resolve));
    const { active } = terminal.buffer;
    const lines = Array.from({ length: terminal.rows }, (_, i) => active.getLine(active.baseY + i)?.translateToString(true) ?? '');
    return lines.join('\n').trimEnd();
  };
  return {
    screen,
    raw: () => raw,
    type: (keys) => pty.write(keys),
    resize(newColumns, newRows) {
      terminal.resize(newColumns, newRows);
      pty.resize(newColumns, newRows);
    },
    kill: (signal) => pty.kill(signal),
    async until(what, seconds = 30) {
      for (const end = performance.now() + seconds * 1e3; ; ) {
        const text = await screen();
        if (what.test(text)) return text;
        if (performance.now() > end) {
          pty.kill('SIGKILL');
          throw new Error(`${what} does not come:\n${text}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    exited,
  };
}
