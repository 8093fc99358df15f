/** Files that only their owner reads, and that appear whole or not at all. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

const unfinished = /\.unfinished-[0-9a-f]{16}$/u;

/**
 * Writes a file under another name and renames it. A reader sees the old file or the whole new one; after a loss of power
 * the content may be incomplete all the same, so what matters carries checksums. Errors: those of the file system.
 */
export async function writePrivately(path: string, write: (file: FileHandle) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const growing = `${path}.unfinished-${randomBytes(8).toString('hex')}`;
  try {
    const file = await open(growing, 'wx', 0o600);
    try {
      await write(file);
    } finally {
      await file.close();
    }
    await rename(growing, path);
  } catch (error) {
    await rm(growing, { force: true });
    throw error;
  }
}

/** A killed process can't remove what it was writing; nobody writes to one file this long without a pause, in milliseconds. */
const abandonedAfter = 3_600_000;

/** Removes what killed processes have left in a folder. */
export async function removeUnfinished(folder: string, olderThan = abandonedAfter): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((each) => unfinished.test(each))) {
    const path = join(folder, name);
    const info = await stat(path).catch(() => null);
    if (info !== null && Date.now() - info.mtimeMs > olderThan) await rm(path, { force: true });
  }
}
