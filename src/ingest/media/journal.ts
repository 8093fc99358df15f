/**
 * Work that takes long, kept on disk as it is done: JSON, a line for each piece. Another run finds what there is and goes on
 * after it. Nothing but time is lost with it, so where it can't be kept, it is not.
 */
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { makeRoom, markFileUsed } from '../../sessions/room.js';

/** Name for work on these inputs: the same for the same. */
export function journalName(...inputs: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
}

/** The most bytes of all journals in a folder: text, of years of speech. */
const mostBytes = 2 ** 28;

/** Of what was heard. @param cache folder of what can be computed again */
export function speechFolder(cache: string): string {
  return join(cache, 'speech');
}

/** What pictures were read to say; as `speechFolder`. */
export function picturesFolder(cache: string): string {
  return join(cache, 'pictures');
}

export class Journal {
  #path: string | null;

  private constructor(
    path: string | null,
    /** What earlier runs have written. */
    readonly entries: readonly unknown[],
  ) {
    this.#path = path;
  }

  /** @param dir null: nothing is kept */
  static async open(dir: string | null, name: string): Promise<Journal> {
    if (dir === null) return new Journal(null, []);
    const path = join(dir, `${name}.jsonl`);
    try {
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await makeRoom(dir, mostBytes);
      const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return Buffer.alloc(0);
        throw error;
      });
      const { entries, length } = wholeLines(bytes);
      // What an interruption has left half written.
      if (length < bytes.length) await truncate(path, length);
      else if (entries.length > 0) await markFileUsed(path);
      return new Journal(path, entries);
    } catch {
      return new Journal(null, []);
    }
  }

  async append(entry: unknown): Promise<void> {
    if (this.#path === null) return;
    await appendFile(this.#path, `${JSON.stringify(entry)}\n`, { mode: 0o600 }).catch(() => {
      // A full disk: what comes after a gap would be of no use.
      this.#path = null;
    });
  }
}

/** Lines that are JSON, up to the first that is not, and their bytes. */
function wholeLines(bytes: Buffer): { entries: unknown[]; length: number } {
  const entries: unknown[] = [];
  let length = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, length)) {
    try {
      entries.push(JSON.parse(bytes.toString('utf8', length, end)));
    } catch {
      break;
    }
    length = end + 1;
  }
  return { entries, length };
}
