/**
 * A block of a session on disk: the keys and values of a run of positions, and what is needed to go on from its end.
 *
 *   "lodekv01"  parts, one after another  JSON description  its length and its CRC-32 (u32, little-endian)  "lodekv01"
 *
 * The description comes last, so that a file that was cut short has none. It holds length and CRC-32 of every part: the
 * soft tokens of each image (f32), then K and V of each layer, of global layers of all positions of the block, of local
 * layers of those that a later query can see.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Context, SavedRows, Standing } from '../runtime/context.js';
import { writePrivately } from './private-file.js';

const magic = Buffer.from('lodekv01');
const tailBytes = 8 + magic.length;
/** Checksums are taken of so much at a time, in bytes, with writes or reads in between: the terminal answers keys meanwhile. */
const sliceBytes = 2 ** 22;

/** For people, who can't read keys. */
export interface BlockLabel {
  readonly model: string;
  /** Of the sources that lie in the prefix up to the block's end, in order; the last of them perhaps in part. */
  readonly sources: readonly { readonly path: string; readonly tokens: number }[];
}

export interface Block {
  /** Position of its first token. */
  readonly from: number;
  /** Hash of the tokens before it (prefix.ts): the key of the block it goes on from. */
  readonly before: string;
  /** Where it ends: that of the context. */
  readonly standing: Standing;
  readonly label: BlockLabel;
}

interface Part {
  readonly bytes: number;
  readonly crc32: number;
}

interface Description extends Block {
  readonly images: number;
  readonly layers: readonly { readonly from: number; readonly to: number }[];
  readonly parts: readonly Part[];
}

/** Writes what a context has read from `block.from` on, with the soft tokens of the images there. Errors: those of the file system. */
export function writeBlock(path: string, block: Block, context: Context, images: readonly Float32Array[]): Promise<void> {
  return writePrivately(path, async (file) => {
    const parts: Part[] = [];
    const layers: { from: number; to: number }[] = [];
    const put = async (content: Uint8Array): Promise<void> => {
      let sum = 0;
      for (let at = 0; at < content.byteLength; at += sliceBytes) {
        const slice = content.subarray(at, at + sliceBytes);
        await file.writeFile(slice);
        sum = crc32(slice, sum);
      }
      parts.push({ bytes: content.byteLength, crc32: sum });
    };
    await file.writeFile(magic);
    for (const soft of images) await put(new Uint8Array(soft.buffer, soft.byteOffset, soft.byteLength));
    for await (const { rows } of context.save(block.from)) {
      layers.push({ from: rows.from, to: rows.to });
      await put(rows.k);
      await put(rows.v);
    }
    const description: Description = { ...block, images: images.length, layers, parts };
    const json = Buffer.from(JSON.stringify(description));
    const tail = Buffer.alloc(8);
    tail.writeUInt32LE(json.length, 0);
    tail.writeUInt32LE(crc32(json), 4);
    await file.writeFile(Buffer.concat([json, tail, magic]));
  });
}

/** A block file that is open. Its content is believed only as far as its checksums are right. */
export class BlockReader {
  private constructor(
    private readonly file: FileHandle,
    private readonly description: Description,
  ) {}

  /** null where there is no such file, or it is not whole. */
  static async open(path: string): Promise<BlockReader | null> {
    const file = await open(path, 'r').catch(() => null);
    if (file === null) return null;
    const description = await readDescription(file).catch(() => null);
    if (description !== null) return new BlockReader(file, description);
    await file.close();
    return null;
  }

  get block(): Block {
    const { from, before, standing, label } = this.description;
    return { from, before, standing, label };
  }

  close(): Promise<void> {
    return this.file.close();
  }

  /** Soft tokens of the images in the block; null where they are damaged. */
  async images(): Promise<Float32Array[] | null> {
    const images: Float32Array[] = [];
    for (let i = 0; i < this.description.images; i++) {
      const content = await this.#part(i);
      if (content === null) return null;
      images.push(new Float32Array(content.buffer));
    }
    return images;
  }

  /** K and V of a layer; null where they are damaged. */
  async rows(layer: number): Promise<SavedRows | null> {
    const { images, layers } = this.description;
    const k = await this.#part(images + 2 * layer);
    const v = await this.#part(images + 2 * layer + 1);
    return k === null || v === null ? null : { layer, rows: { ...layers[layer]!, k, v } };
  }

  async #part(index: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const { parts } = this.description;
    const part = parts[index];
    if (part === undefined) return null;
    const start = parts.slice(0, index).reduce((sum, { bytes }) => sum + bytes, magic.length);
    const read = await readBytes(this.file, start, part.bytes).catch(() => null);
    return read !== null && read.crc32 === part.crc32 ? read.content : null;
  }
}

async function readDescription(file: FileHandle): Promise<Description | null> {
  const { size } = await file.stat();
  if (size < magic.length + tailBytes) return null;
  const tail = Buffer.from((await readBytes(file, size - tailBytes, tailBytes))?.content ?? []);
  const length = tail.length === 0 ? 0 : tail.readUInt32LE(0);
  const start = size - tailBytes - length;
  if (!tail.subarray(8).equals(magic) || start < magic.length) return null;
  const json = await readBytes(file, start, length);
  if (json === null || json.crc32 !== tail.readUInt32LE(4)) return null;
  const description = JSON.parse(Buffer.from(json.content).toString()) as Description;
  const content = description.parts.reduce((sum, { bytes }) => sum + bytes, magic.length);
  const whole = content === start && description.from < description.standing.length;
  return whole && description.parts.length === description.images + 2 * description.layers.length ? description : null;
}

/** With its checksum; null where the file is shorter. */
async function readBytes(file: FileHandle, start: number, bytes: number): Promise<{ readonly content: Uint8Array<ArrayBuffer>; readonly crc32: number } | null> {
  const content = new Uint8Array(bytes);
  let done = 0;
  let sum = 0;
  while (done < bytes) {
    const { bytesRead } = await file.read(content, done, Math.min(bytes - done, sliceBytes), start + done);
    if (bytesRead === 0) return null;
    sum = crc32(content.subarray(done, done + bytesRead), sum);
    done += bytesRead;
  }
  return { content, crc32: sum };
}
