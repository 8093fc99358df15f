/**
 * One folder for all that tests write: TMPDIR and the cache of them and of the programs they start. It is gone afterwards; what a
 * killed run has left goes with the next one.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const prefix = 'lodestone-tests-';

function remove(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export default function setup(): () => void {
  const place = os.tmpdir();
  for (const name of readdirSync(place)) {
    const pid = new RegExp(`^${prefix}(\\d+)-`, 'u').exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid))) remove(path.join(place, name));
  }
  const root = mkdtempSync(path.join(place, `${prefix}${process.pid}-`));
  process.env['TMPDIR'] = path.join(root, 'tmp');
  process.env['XDG_CACHE_HOME'] = path.join(root, 'cache');
  mkdirSync(process.env['TMPDIR']);
  return () => remove(root);
}
