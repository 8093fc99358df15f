import { type InputBytes, type ReadOptions, readStreamOnce } from './read.js';

/** Reads standard input to its end. */
export async function readStdin(options: ReadOptions): Promise<InputBytes> {
  return readStreamOnce('-', process.stdin, options);
}
