/**
 * Errors that a person reads. Everything that can go wrong because of the input, the machine or the command line
 * is a LodestoneError with one of these codes; anything else that escapes is a bug and exits with 1.
 */
export const ExitCode = {
  ok: 0,
  internal: 1,
  usage: 2,
  gateFailed: 3,
  contextExceeded: 4,
  outOfMemory: 5,
  badModel: 6,
  unreadableInput: 7,
  notFound: 8,
  citationUnverified: 9,
  interrupted: 130,
  closedPipe: 141,
  terminated: 143,
} as const;

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** An expected failure: `message` is one line that says what is wrong, with which file, and what to do. */
export class LodestoneError extends Error {
  override readonly name = 'LodestoneError';
  constructor(
    readonly exitCode: ExitCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Thrown where an AbortSignal fired; the reason decides the exit code (SIGINT 130, SIGTERM 143). */
export function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new LodestoneError(ExitCode.interrupted, 'interrupted');
}
