/**
 * Sessions: what a context has read is kept on disk, so that the next question about the same documents, in another
 * process, is read alone. A session is a chain of blocks (block-file.ts), found by hashes of the tokens before their ends
 * (prefix.ts): documents that begin alike share blocks, whatever follows.
 */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Prompt } from '../encode/prompt.js';
import type { Context } from '../runtime/context.js';
import { pageSlots, wholePages } from '../runtime/kv.js';
import { BlockReader, writeBlock, type BlockLabel } from './block-file.js';
import { documentsOf, imagesBefore, leastPositions, prefixHashes, restorePoints, type Documents, type ImageTokens } from './prefix.js';
import { removeUnfinished } from './private-file.js';
import { blockName, leastRecent, listBlocks, markUsed, removeBlocks, type StoredBlock } from './store.js';

export interface SessionOptions {
  readonly folder: string;
  /** From `environmentHash`. */
  readonly environment: string;
  /** The most bytes in the folder. */
  readonly bytes: number;
  /** For people: what the model and the sources are called. */
  readonly model: string;
  readonly sources: readonly string[];
  readonly imageTokens: ImageTokens;
}

/** What of the documents is on disk. */
export interface Found {
  /** Positions. */
  readonly length: number;
  /** Soft tokens of the images among them. */
  readonly images: readonly Float32Array[];
}

/** Restore points, but the last two, take at most this share of what the global layers hold. */
const restoreShare = 1 / 4;
const leastSpacing = 4096;
/** Room that is left on the disk, in bytes. */
const spareBytes = 2 ** 30;

interface OpenBlock {
  readonly name: string;
  readonly to: number;
  readonly reader: BlockReader;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #prompt: Prompt;
  readonly #documents: Documents;
  /** Hashes of the documents' beginnings, by position, as far as they were needed. */
  readonly #hashes = new Map<number, string>();
  /** Blocks from the start, each going on from the one before; open files. */
  #chain: OpenBlock[] = [];
  /** Names of the blocks that lead to where the context is. */
  #used: string[] = [];

  private constructor(options: SessionOptions, prompt: Prompt) {
    this.#options = options;
    this.#prompt = prompt;
    this.#documents = documentsOf(prompt);
  }

  /** Looks for the documents of a prompt. `close` gives the files back. */
  static async open(options: SessionOptions, prompt: Prompt): Promise<Session> {
    const session = new Session(options, prompt);
    await session.#find();
    return session;
  }

  /** Positions of the documents that are on disk; `restore` may find that it is less. */
  get length(): number {
    return this.#chain.at(-1)?.to ?? 0;
  }

  /** Images among them. */
  get images(): number {
    return imagesBefore(this.#documents.ids, this.length, this.#options.imageTokens);
  }

  async close(): Promise<void> {
    await Promise.all(this.#chain.map(({ reader }) => reader.close()));
    this.#chain = [];
  }

  /** Brings what is on disk into a context that has read nothing. What is damaged is removed, and what follows it not believed. */
  async restore(context: Context): Promise<Found> {
    const { folder } = this.#options;
    const images: Float32Array[][] = [];
    for (const { reader, name } of this.#chain) {
      const those = await reader.images();
      if (those === null || !(await reader.restore(context, 'global'))) {
        await removeBlocks(folder, [name]);
        break;
      }
      images.push(those);
    }
    // From the end, since the rings of one block are enough.
    for (let count = images.length; count > 0; count--) {
      const { reader, to, name } = this.#chain[count - 1]!;
      if (!(await reader.restore(context, 'local'))) {
        await removeBlocks(folder, [name]);
        continue;
      }
      const found = { length: to, images: images.slice(0, count).flat() };
      context.resume(this.#documents.ids.subarray(0, to), found.images, reader.block.standing);
      this.#used = this.#chain.slice(0, count).map((block) => block.name);
      await markUsed(folder, this.#used);
      return found;
    }
    return { length: 0, images: [] };
  }

  /** Where reading should stop for `save`, behind what the context has read; nowhere, if all of it would be too much to keep. */
  stops(context: Context): number[] {
    const { layers, window } = context.config;
    const bytes = (kind: 'local' | 'global'): number =>
      layers.reduce((sum, layer, l) => (layer.kind === kind ? sum + context.rowBytes(l) : sum), 0);
    const [ring, position] = [bytes('local') * (window - 1), bytes('global')];
    const stops = restorePoints(this.#documents, context.length, Math.max(leastSpacing, ring / (position * restoreShare)));
    // A block's first and last page may hold little of it.
    const kept = (this.#documents.ids.length + stops.length * 2 * pageSlots) * position;
    if (kept * (1 + restoreShare) + 2 * ring > this.#options.bytes) return [];
    this.#hash([context.length, ...stops]);
    return stops;
  }

  /**
   * Keeps what a context has read of the documents since it was at `from`, where a block ends or nothing was read.
   * @param images soft tokens of all images of the prompt
   * @returns whether it is kept. Errors: those of the file system.
   */
  async save(context: Context, from: number, images: readonly Float32Array[]): Promise<boolean> {
    const { folder, environment, imageTokens } = this.#options;
    const standing = context.standing();
    const to = context.length;
    if (standing === null || to > this.#documents.ids.length || to < leastPositions || to <= from) return false;
    this.#hash([from, to]);
    const name = blockName({ environment, to, prefix: this.#hashes.get(to)! });
    const stored = await listBlocks(folder);
    if (!stored.some((block) => block.name === name)) {
      const { layers, window } = context.config;
      const pages = wholePages(from, to);
      const bytes = layers.reduce((sum, { kind }, l) => sum + context.rowBytes(l) * (kind === 'global' ? pages.to - pages.from : window), 0);
      const room = await statfs(folder).then(({ bavail, bsize }) => bavail * bsize, () => Infinity);
      if (room - bytes < spareBytes) return false;
      const [first, last] = [from, to].map((position) => imagesBefore(this.#documents.ids, position, imageTokens));
      const block = { from, before: from === 0 ? '' : this.#hashes.get(from)!, standing, label: this.#label(to) };
      await writeBlock(join(folder, name), block, context, images.slice(first, last));
      await removeUnfinished(folder);
      await removeBlocks(folder, leastRecent(stored, this.#options.bytes - bytes).map((old) => old.name));
    }
    this.#used.push(name);
    await markUsed(folder, this.#used);
    return true;
  }

  async #find(): Promise<void> {
    const { folder, environment } = this.#options;
    const stored = (await listBlocks(folder, environment)).filter(({ to }) => to <= this.#documents.ids.length);
    this.#hash(stored.map(({ to }) => to));
    const fitting = stored.filter(({ to, prefix }) => this.#hashes.get(to) === prefix).sort((a, b) => b.to - a.to);
    for (const end of fitting) {
      this.#chain = await openChain(folder, end, fitting);
      if (this.#chain.length > 0) return;
    }
  }

  #hash(positions: readonly number[]): void {
    const missing = [...new Set(positions)].filter((position) => !this.#hashes.has(position)).sort((a, b) => a - b);
    for (const [position, hash] of prefixHashes(this.#documents, missing, this.#options.imageTokens)) this.#hashes.set(position, hash);
  }

  #label(to: number): BlockLabel {
    const { sourceEnds } = this.#documents;
    const begun = sourceEnds.filter((_, i) => i === 0 || sourceEnds[i - 1]! < to).length;
    const { model, sources } = this.#options;
    return { model, sources: sources.slice(0, begun).map((path, i) => ({ path, tokens: this.#prompt.sourceTokens[i]! })) };
  }
}

/** The blocks that lead to `end`; none if one of them is missing or damaged. */
async function openChain(folder: string, end: StoredBlock, blocks: readonly StoredBlock[]): Promise<OpenBlock[]> {
  const chain: OpenBlock[] = [];
  for (let next: StoredBlock | undefined = end; next; ) {
    const { name, to } = next;
    const reader = await BlockReader.open(join(folder, name));
    if (reader === null || reader.block.standing.length !== to) {
      await reader?.close();
      await removeBlocks(folder, [name]);
      break;
    }
    chain.unshift({ name, to, reader });
    const { from, before } = reader.block;
    if (from === 0) return chain;
    next = blocks.find((block) => block.to === from && block.prefix === before);
  }
  await Promise.all(chain.map(({ reader }) => reader.close()));
  return [];
}
