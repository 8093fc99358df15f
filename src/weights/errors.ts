import { ExitCode, LodestoneError } from '../errors.js';

/**
 * A model file is not what it should be: one line. Names in a file may hold line ends and terminal controls; the message
 * shows them as escapes.
 */
export function badFile(path: string, what: string, cause?: unknown): LodestoneError {
  const line = what.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (c) => String.raw`\u` + c.charCodeAt(0).toString(16).padStart(4, '0'));
  return new LodestoneError(ExitCode.badModel, `${path}: ${line}`, cause === undefined ? undefined : { cause });
}
