/** The folder of sessions: blocks by name, the least recently used removed first. */
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockReader, type Block } from './block-file.js';

/** A block, as its file's name and time tell: ENVIRONMENT.TO.PREFIX.kv */
export interface StoredBlock {
  readonly name: string;
  /** What it was computed with (identity.ts); the first half of a sha256. */
  readonly environment: string;
  /** Positions before its end. */
  readonly to: number;
  /** Hash of the tokens before its end (prefix.ts). */
  readonly prefix: string;
  readonly bytes: number;
  /** When it was last written or read, in ms. */
  readonly usedAt: number;
}

export function blockName({ environment, to, prefix }: Pick<StoredBlock, 'environment' | 'to' | 'prefix'>): string {
  return `${environment.slice(0, 32)}.${to}.${prefix}.kv`;
}

/** All blocks, or those of one environment. */
export async function listBlocks(folder: string, environment?: string): Promise<StoredBlock[]> {
  const names = await readdir(folder).catch(() => []);
  const blocks = names.map(async (name): Promise<StoredBlock | null> => {
    const match = /^([0-9a-f]{32})\.(\d{1,15})\.([0-9a-f]{64})\.kv$/u.exec(name);
    if (match === null || (environment !== undefined && match[1] !== environment.slice(0, 32))) return null;
    const info = await stat(join(folder, name)).catch(() => null);
    return info && { name, environment: match[1]!, to: Number(match[2]), prefix: match[3]!, bytes: info.size, usedAt: info.mtimeMs };
  });
  return (await Promise.all(blocks)).filter((block) => block !== null);
}

/** Blocks of one session have one time, so that `leastRecent` takes them from the end. */
export async function markUsed(folder: string, names: readonly string[], now = new Date()): Promise<void> {
  for (const name of names) await utimes(join(folder, name), now, now).catch(() => undefined);
}

/** Blocks to remove so that at most `bytes` remain: the least recently used ones, of a session its end first. */
export function leastRecent(blocks: readonly StoredBlock[], bytes: number): StoredBlock[] {
  let total = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const removed: StoredBlock[] = [];
  for (const block of [...blocks].sort((a, b) => a.usedAt - b.usedAt || b.to - a.to)) {
    if (total <= bytes) break;
    removed.push(block);
    total -= block.bytes;
  }
  return removed;
}

export async function removeBlocks(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { force: true });
}

/** Blocks that lead to one that no other goes on from: what a person calls a session. */
export interface StoredSession {
  /** Short name, unique here. */
  readonly id: string;
  readonly blocks: readonly StoredBlock[];
  readonly label: Block['label'];
  readonly tokens: number;
  readonly bytes: number;
  readonly usedAt: number;
}

export interface StoredSessions {
  /** The most recently used one first. */
  readonly sessions: readonly StoredSession[];
  /** Blocks that are damaged, or whose beginning is missing: good for nothing. */
  readonly broken: readonly StoredBlock[];
}

/** How many characters of a prefix's hash tell sessions apart. */
const idLength = 12;

export async function listSessions(folder: string): Promise<StoredSessions> {
  const stored = await listBlocks(folder);
  const opened = new Map<StoredBlock, Block>();
  for (const block of stored) {
    const reader = await BlockReader.open(join(folder, block.name));
    if (reader === null) continue;
    opened.set(block, reader.block);
    await reader.close();
  }
  const before = (block: StoredBlock): StoredBlock | undefined =>
    [...opened.keys()].find((other) => other.environment === block.environment && other.prefix === opened.get(block)!.before && other.to === opened.get(block)!.from);
  const chainOf = (block: StoredBlock): StoredBlock[] | null => {
    if (opened.get(block)!.from === 0) return [block];
    const previous = before(block);
    const chain = previous && chainOf(previous);
    return chain ? [...chain, block] : null;
  };
  const chains = [...opened.keys()].map((block) => ({ block, chain: chainOf(block) }));
  const continued = new Set(chains.flatMap(({ chain }) => chain?.slice(0, -1) ?? []));
  const sessions = chains.flatMap(({ block, chain }): StoredSession[] =>
    chain === null || continued.has(block)
      ? []
      : [
          {
            id: block.prefix.slice(0, idLength),
            blocks: chain,
            label: opened.get(block)!.label,
            tokens: block.to,
            bytes: chain.reduce((sum, { bytes }) => sum + bytes, 0),
            usedAt: block.usedAt,
          },
        ],
  );
  const usable = new Set(chains.flatMap(({ chain }) => chain ?? []));
  return { sessions: sessions.sort((a, b) => b.usedAt - a.usedAt), broken: stored.filter((block) => !usable.has(block)) };
}

/** Blocks of one session that no other one needs. */
export function ownBlocks(session: StoredSession, sessions: readonly StoredSession[]): StoredBlock[] {
  const shared = new Set(sessions.filter((other) => other !== session).flatMap(({ blocks }) => blocks.map(({ name }) => name)));
  return session.blocks.filter(({ name }) => !shared.has(name));
}
