/** A program whose output is read as it comes: it never outlives its reader, and is given up when it falls silent. */
import { spawn, type ChildProcess } from 'node:child_process';
import { abortError } from '../../errors.js';

export interface ProgramOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds without output after which it is stopped; the time that the reader takes does not count. */
  readonly stallMs: number;
}

export interface ProgramEnd {
  readonly code: number | null;
  /** The last of what it wrote to stderr. */
  readonly stderr: string;
  readonly stalled: boolean;
}

const keptStderr = 8192;

/** What this process has started and not yet seen end. Where it leaves by `exit`, they go too. */
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * Yields what the program writes to stdout, and returns how it ended. A reader that stops early stops the program. Where
 * this process is killed, the program's next write fails, which ends it.
 * Errors: the signal's reason; that of a program that can't be started.
 */
export async function* readProgram(file: string, args: readonly string[], { signal, stallMs }: ProgramOptions): AsyncGenerator<Uint8Array, ProgramEnd> {
  if (signal?.aborted) throw abortError(signal);
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' }, windowsHide: true });
  running.add(child);
  let stderr = '';
  let failure: Error | undefined;
  let stalled = false;
  const kill = (): void => void child.kill('SIGKILL');
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', (error) => {
      failure = error;
      resolve(null);
    });
    child.on('close', (code) => resolve(code));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-keptStderr);
  });
  signal?.addEventListener('abort', kill, { once: true });
  let timer: NodeJS.Timeout | undefined;
  const watch = (): void => {
    timer = setTimeout(() => {
      stalled = true;
      kill();
    }, stallMs);
  };
  try {
    watch();
    for await (const chunk of child.stdout) {
      clearTimeout(timer);
      yield chunk as Uint8Array;
      watch();
    }
    const code = await ended;
    if (signal?.aborted) throw abortError(signal);
    if (failure) throw failure;
    return { code, stderr: stderr.trim(), stalled };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', kill);
    kill();
    running.delete(child);
  }
}
