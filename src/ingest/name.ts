import { ExitCode, LodestoneError } from '../errors.js';

/** A source's name as it stands in a message: one line whatever the file is called. */
export function sourceName(path: string): string {
  if (path === '-') {
    return 'standard input';
  }
  if (path === '') {
    return '""';
  }
  // oxlint-disable-next-line no-control-regex -- a file's name may hold any of them, and they would reach the terminal
  return path.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** The error for an input that can't be read: `what` follows the source's name. */
export function unreadable(path: string, what: string, options?: ErrorOptions): LodestoneError {
  return new LodestoneError(ExitCode.unreadableInput, `${sourceName(path)} ${what}`, options);
}
