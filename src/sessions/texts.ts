/** What takes long to get out of a file, such as the text of a PDF or the ids of a long text, kept by the file's content. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Remember } from '../ingest/ingest.js';
import { codeVersion } from './code-version.js';
import { writePrivately } from './private-file.js';
import { makeRoom, markFileUsed } from './room.js';

/** The most bytes of all texts. */
const mostBytes = 2 ** 28;

export function textsFolder(cache: string): string {
  return join(cache, 'texts');
}

/**
 * @param code folders of src/ that make them
 * Results lie in files of JSON after a line with its CRC-32; a damaged one is made again. The disk's errors keep nothing from being read.
 */
export function rememberIn(folder: string, code: readonly string[] = ['ingest']): Remember {
  const version = codeVersion(code);
  return async <T>(key: readonly unknown[], make: () => Promise<T>): Promise<T> => {
    const path = join(folder, createHash('sha256').update(JSON.stringify([version, ...key])).digest('hex'));
    const known = await readChecked(path);
    if (known !== null) return known as T;
    const made = await make();
    const json = Buffer.from(JSON.stringify(made));
    await writePrivately(path, (file) => file.writeFile(Buffer.concat([Buffer.from(`${crc32(json)}\n`), json])))
      .then(() => makeRoom(folder, mostBytes))
      .catch(() => undefined);
    return made;
  };
}

async function readChecked(path: string): Promise<unknown> {
  const content = await readFile(path).catch(() => null);
  if (content === null) return null;
  const end = content.indexOf('\n');
  const json = content.subarray(end + 1);
  if (end < 0 || content.toString('latin1', 0, end) !== String(crc32(json))) return null;
  await markFileUsed(path);
  return JSON.parse(json.toString());
}
