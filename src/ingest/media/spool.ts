/** Bytes as a file, for as long as something reads it. */
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';

/** The file is the user's alone, and is removed when `use` has ended, or the program before it. */
export async function withSpooled<T>(bytes: Uint8Array, use: (file: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(os.tmpdir(), 'lodestone-'));
  const leave = (): void => rmSync(dir, { recursive: true, force: true });
  process.once('exit', leave);
  try {
    const file = join(dir, 'input');
    await writeFile(file, bytes, { mode: 0o600 });
    return await use(file);
  } finally {
    process.off('exit', leave);
    await rm(dir, { recursive: true, force: true });
  }
}
