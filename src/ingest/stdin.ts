import { isatty } from 'node:tty';
import { type InputBytes, type ReadOptions, readStreamOnce } from './read.js';

/** True where standard input is a file or a pipe: something was fed to us, nobody is typing. */
export function stdinIsFed(): boolean {
  return !isatty(0);
}

/** Reads standard input to its end. */
export async function readStdin(options: ReadOptions): Promise<InputBytes> {
  return readStreamOnce('-', process.stdin, options);
}
