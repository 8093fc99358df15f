/** Ctrl-C, termination and closed pipes. */
import { ExitCode, LodestoneError } from '../errors.js';

/**
 * The first SIGINT or SIGTERM aborts the returned controller, so that work stops and the program ends by itself with
 * 130 or 143; a second one leaves at once. A reader that closed our stdout ends us quietly with 141; a
 * full disk behind it, in one line with 1.
 */
export function installSignalHandlers(): AbortController {
  const controller = new AbortController();
  const on = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', code: ExitCode, message: string): void => {
    process.on(signal, () => {
      if (controller.signal.aborted) process.exit(code);
      controller.abort(new LodestoneError(code, message));
    });
  };
  on('SIGINT', ExitCode.interrupted, 'interrupted');
  on('SIGTERM', ExitCode.terminated, 'terminated');
  on('SIGHUP', ExitCode.terminated, 'terminal closed');
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(ExitCode.closedPipe);
    process.stderr.write(`lodestone: can't write the answer: ${error.message}\n`);
    process.exit(ExitCode.internal);
  });
  process.stderr.on('error', () => {
    // Nobody reads the progress: the answer still counts.
  });
  return controller;
}
