/** One pull of a model at a time. The lock is a file with the number of the process that holds it. */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';

/**
 * Takes the lock of a folder. A lock whose process is gone is taken over.
 * @returns gives it back
 * Errors: LodestoneError(badModel) that names the process that holds it.
 */
export async function takeLock(dir: string, what: string): Promise<() => Promise<void>> {
  const path = join(dir, 'lock');
  const mine = join(dir, `lock.${process.pid}`);
  await writeFile(mine, String(process.pid));
  try {
    for (let tries = 0; ; tries++) {
      // A link appears with its content, or not at all.
      if (await link(mine, path).then(() => true, (error: NodeJS.ErrnoException) => notExists(error))) break;
      const holder = await readFile(path, 'utf8').catch(() => '');
      if (holder !== '' && (isRunning(Number(holder)) || tries > 0)) {
        throw new LodestoneError(ExitCode.badModel, `${what}: is being pulled already, by process ${holder}; if that is not so, delete ${path}`);
      }
      await takeAway(path, holder);
    }
  } finally {
    await rm(mine, { force: true });
  }
  return () => rm(path, { force: true });
}

function notExists(error: NodeJS.ErrnoException): false {
  if (error.code !== 'EEXIST') throw error;
  return false;
}

/** Removes a dead process's lock, unless somebody else has done so and put up one of his own. */
async function takeAway(path: string, holder: string): Promise<void> {
  const aside = `${path}.dead.${process.pid}`;
  if (!(await rename(path, aside).then(() => true, () => false))) return;
  if ((await readFile(aside, 'utf8').catch(() => holder)) !== holder) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function isRunning(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
