/** What a prompt begins with, as keys: equal keys, equal prefixes. */
import { createHash, type Hash } from 'node:crypto';
import { endianness } from 'node:os';
import type { Prompt } from '../encode/prompt.js';
import type { GemmaConfig } from '../gemma/config.js';

/** The documents of a prompt, without the question. */
export interface Documents {
  readonly ids: Uint32Array;
  /** Positions after each segment, ascending. */
  readonly segmentEnds: readonly number[];
  readonly sourceEnds: readonly number[];
  /** sha256 of each image shown, in their order, in hexadecimal. */
  readonly images: readonly string[];
}

/** Id of an image's soft token, and how many of them an image has; null: the model reads text only. */
export type ImageTokens = { readonly soft: number; readonly perImage: number } | null;

export function imageTokens({ vision }: Pick<GemmaConfig, 'vision'>): ImageTokens {
  return vision && { soft: vision.tokens.soft, perImage: vision.tokensPerImage };
}

/** sha256 of what an image of a prompt shows. */
function imageHash({ image, box }: NonNullable<Prompt['images']>[number]): string {
  const shown = JSON.stringify([image.width, image.height, box]);
  return createHash('sha256').update(shown).update(image.data).digest('hex');
}

export function documentsOf({ ids, segmentEnds, sourceEnds, images = [] }: Prompt): Documents {
  return { ids: ids.subarray(0, sourceEnds.at(-1) ?? 0), segmentEnds, sourceEnds, images: images.map(imageHash) };
}

/** Images that lie before a position; a position inside one is none to stop at. */
export function imagesBefore(ids: Uint32Array, position: number, tokens: ImageTokens): number {
  if (tokens === null) return 0;
  let count = 0;
  for (let i = 0; i < position; i++) if (ids[i] === tokens.soft) count++;
  return Math.floor(count / tokens.perImage);
}

/**
 * The hash of the documents' first tokens, and of the images among them, at each of some positions.
 * @param positions ascending, none inside an image
 */
export function prefixHashes({ ids, images }: Pick<Documents, 'ids' | 'images'>, positions: readonly number[], tokens: ImageTokens): Map<number, string> {
  const hash = createHash('sha256');
  const hashes = new Map<number, string>();
  let at = 0;
  let image = 0;
  let soft = 0;
  for (const position of positions) {
    while (at < position) {
      let to = position;
      if (tokens !== null) {
        // Up to the end of the next image, whose content goes in after its ids.
        for (to = at; to < position; ) if (ids[to++] === tokens.soft && ++soft % tokens.perImage === 0) break;
      }
      updateWithIds(hash, ids.subarray(at, to));
      if (tokens !== null && ids[to - 1] === tokens.soft && soft % tokens.perImage === 0) hash.update(images[image++] ?? '', 'hex');
      at = to;
    }
    hashes.set(position, hash.copy().digest('hex'));
  }
  return hashes;
}

function updateWithIds(hash: Hash, ids: Uint32Array): void {
  const bytes = Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);
  hash.update(endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32());
}

/** Prefixes shorter than this are read sooner than they are kept. */
export const leastPositions = 256;

/**
 * Where to stop for a restore point: at the end, where the last source begins (it may be left out next time), and at
 * segment ends at least `spacing` positions apart. None before `from`, where reading begins.
 */
export function restorePoints({ ids, segmentEnds, sourceEnds }: Pick<Documents, 'ids' | 'segmentEnds' | 'sourceEnds'>, from: number, spacing: number): number[] {
  const kept = [ids.length, sourceEnds.at(-2) ?? 0].filter((end) => end > from && end >= leastPositions);
  const points = new Set(kept);
  let last = from;
  for (const end of segmentEnds) {
    if (end <= last) continue;
    if (points.has(end)) last = end;
    else if (end - last >= spacing && !kept.some((point) => point > end && point - end < spacing)) {
      points.add(end);
      last = end;
    }
  }
  return [...points].sort((a, b) => a - b);
}
