/**
 * Hashes of large files, kept so that gigabytes are not hashed each time. A file counts as the same while its device,
 * inode, size and times to the nanosecond are: no program can set the time of the last change (ctime) of a file's inode.
 */
import { createHash } from 'node:crypto';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256OfFiles } from '../weights/hash.js';
import { writePrivately } from './private-file.js';

/** A file changed this shortly before may change again within the resolution of its times, in ms. */
const settled = 2000;

/** sha256 of the files one after another, as `sha256OfFiles` gives it. Errors: those of reading; the signal's reason. */
export async function knownSha256(paths: readonly string[], folder: string, signal?: AbortSignal): Promise<string> {
  const before = await states(paths);
  const memory = join(folder, createHash('sha256').update(before.key).digest('hex'));
  const known = await readFile(memory, 'latin1').catch(() => '');
  if (/^[0-9a-f]{64}$/u.test(known)) return known;
  const sha256 = await sha256OfFiles(paths, signal);
  const after = await states(paths);
  if (after.key === before.key && Date.now() - after.changedAt > settled) {
    // A hash that can't be kept is only computed again.
    await writePrivately(memory, (file) => file.writeFile(sha256)).catch(() => undefined);
  }
  return sha256;
}

async function states(paths: readonly string[]): Promise<{ readonly key: string; readonly changedAt: number }> {
  const infos = await Promise.all(paths.map(async (path) => ({ path: await realpath(path), info: await stat(path, { bigint: true }) })));
  const key = JSON.stringify(infos.map(({ path, info }) => [path, ...[info.dev, info.ino, info.size, info.mtimeNs, info.ctimeNs].map(String)]));
  return { key, changedAt: Math.max(...infos.map(({ info }) => Number(info.ctimeMs))) };
}
