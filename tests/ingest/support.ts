import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect } from 'vitest';
import { LodestoneError } from '../../src/errors.js';
import { packageRoot } from '../../src/paths.js';

export function fixture(...names: string[]): string {
  return path.join(packageRoot, 'fixtures', ...names);
}

/** A folder that goes with the test file that asked for it. */
export function scratch(): string {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'lodestone-ingest-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Writes a file and returns its path. */
export function file(dir: string, name: string, content: string | Uint8Array): string {
  const full = path.join(dir, name);
  writeFileSync(full, content);
  return full;
}

/** What the promise was refused with: a LodestoneError for a person, one line that names the source. */
export async function refusal(promise: Promise<unknown>, name: string, exitCode = 7): Promise<string> {
  const error: unknown = await promise.then(
    () => expect.unreachable('it was read'),
    (e: unknown) => e,
  );
  if (!(error instanceof LodestoneError)) {
    throw error;
  }
  expect(error.exitCode).toBe(exitCode);
  expect(error.message).toContain(name);
  expect(error.message).not.toMatch(/[\r\n]/);
  expect(error.message.length).toBeLessThan(500);
  return error.message;
}

/** Every run of white space as one space: line breaks are layout, not content. */
export function squash(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
