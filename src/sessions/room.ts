/** Folders of files that can be made again, held to a size: what was longest not used goes first. */
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { removeUnfinished } from './private-file.js';

/** A file's time of change is when it was last used. */
export async function markFileUsed(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/** Removes files until at most so many bytes remain, and what killed processes have left. What the disk refuses stays. */
export async function makeRoom(folder: string, bytes: number): Promise<void> {
  await removeUnfinished(folder);
  const names = await readdir(folder).catch(() => []);
  const infos = await Promise.all(names.map((name) => stat(join(folder, name)).then(({ size, mtimeMs }) => ({ name, size, mtimeMs }), () => null)));
  const files = infos.filter((info) => info !== null).sort((a, b) => a.mtimeMs - b.mtimeMs);
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { name, size } of files) {
    if (total <= bytes) return;
    await rm(join(folder, name), { force: true }).catch(() => undefined);
    total -= size;
  }
}
