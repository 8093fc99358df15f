import { expect } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';

/** The file is refused as a bad model, in one clean line that says so. */
export async function expectRefusal(opening: Promise<unknown>, message: RegExp): Promise<void> {
  const error: unknown = await opening.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LodestoneError);
  const { message: said, exitCode } = error as LodestoneError;
  expect(said).toMatch(message);
  expect(said).not.toMatch(/[\n\r\u001b]/);
  expect(exitCode).toBe(ExitCode.badModel);
}
