/** Indexes kept on the disk, by the content of what they index: one question has it made, the others find it there. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { IngestedSource } from '../ingest/segment.js';
import { codeVersion } from '../sessions/code-version.js';
import { writePrivately } from '../sessions/private-file.js';
import { makeRoom, markFileUsed } from '../sessions/room.js';
import type { Bm25Index } from './bm25.js';

/** The most bytes of all indexes. */
const mostBytes = 2 ** 30;

export function indexesFolder(cache: string): string {
  return join(cache, 'indexes');
}

/** What an index depends on: the text of the sources, where each begins, how leaves are cut, and our own code. */
export function indexKey(sources: readonly Pick<IngestedSource, 'segments'>[]): string {
  const hash = createHash('sha256').update(`${codeVersion(['reader', 'answer'])} ${sources.length}`);
  for (const { segments } of sources) {
    hash.update(`\0source ${segments.length}`);
    for (const { text, page } of segments) hash.update(`\0${page ?? ''} ${text.length} `).update(text);
  }
  return hash.digest('hex');
}

/**
 * A header as one line of JSON; the terms, one a line; then, 4-byte aligned, little-endian: starts, postings and lengths (u32), counts
 * (u8); CRC-32 of all before it, as u32.
 */
interface Header {
  readonly leaves: number;
  readonly terms: number;
  readonly termBytes: number;
  readonly postings: number;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}

function bytesOf(array: Uint32Array | Uint8Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

export function encodeIndex({ leaves, terms, starts, postings, counts, lengths }: Bm25Index): Uint8Array {
  const words = Buffer.from(terms.join('\n'));
  const header = Buffer.from(`${JSON.stringify({ leaves, terms: terms.length, termBytes: words.length, postings: postings.length } satisfies Header)}\n`);
  const from = aligned(header.length + words.length);
  const parts = [starts, postings, lengths, counts].map(bytesOf);
  const total = aligned(from + parts.reduce((sum, part) => sum + part.length, 0));
  const file = new Uint8Array(total + 4);
  file.set(header);
  file.set(words, header.length);
  let at = from;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  new DataView(file.buffer).setUint32(total, crc32(file.subarray(0, total)), true);
  return file;
}

/** null: it is no index, or damaged. */
export function decodeIndex(file: Uint8Array): Bm25Index | null {
  const total = file.length - 4;
  if (total < 4 || total % 4 !== 0) return null;
  // A copy begins where typed arrays may.
  const bytes = file.byteOffset % 4 === 0 ? file : file.slice();
  if (new DataView(bytes.buffer, bytes.byteOffset).getUint32(total, true) !== crc32(bytes.subarray(0, total))) return null;
  const headerEnd = bytes.indexOf(10) + 1;
  const { leaves, terms, termBytes, postings } = JSON.parse(Buffer.from(bytes.subarray(0, headerEnd)).toString()) as Header;
  const words = Buffer.from(bytes.subarray(headerEnd, headerEnd + termBytes)).toString();
  let at = bytes.byteOffset + aligned(headerEnd + termBytes);
  const numbers = (length: number): Uint32Array => {
    const array = new Uint32Array(bytes.buffer, at, length);
    at += 4 * length;
    return array;
  };
  const starts = numbers(terms + 1);
  const list = numbers(postings);
  const lengths = numbers(leaves);
  return { leaves, terms: terms === 0 ? [] : words.split('\n'), starts, postings: list, lengths, counts: new Uint8Array(bytes.buffer, at, postings) };
}

export interface KeptIndex {
  readonly index: Bm25Index;
  /** It was on the disk. */
  readonly kept: boolean;
}

/** The kept index of a key, or what `make` makes, which is kept then. The disk's errors keep nothing from being made. */
export async function rememberIndex(folder: string | null, key: string, make: () => Bm25Index): Promise<KeptIndex> {
  if (folder === null) return { index: make(), kept: false };
  const path = join(folder, key);
  const known = await readFile(path).then(decodeIndex, () => null);
  if (known !== null) {
    await markFileUsed(path);
    return { index: known, kept: true };
  }
  const index = make();
  await writePrivately(path, (file) => file.writeFile(encodeIndex(index)))
    .then(() => makeRoom(folder, mostBytes))
    .catch(() => undefined);
  return { index, kept: false };
}
