/**
 * A block of a session on disk: the keys and values of a run of positions, and what is needed to go on from its end.
 *
 *   "lodekv02"  parts, one after another  JSON description  its length and its CRC-32 (u32, little-endian)  "lodekv02"
 *
 * The description comes last, so that a file that was cut short has none. It holds place, length and CRC-32 of every part: the
 * soft tokens of each image (f32), then K and V of each layer, of local layers of the positions that a later query can see, of
 * global layers page by page. Pages are stored as they lie in memory, where the system can map them: nothing is copied to go
 * on. The pages at a block's ends hold positions of its neighbours too; the block that comes later has them all.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { Context, Standing } from '../runtime/context.js';
import { writePrivately } from './private-file.js';

const magic = Buffer.from('lodekv02');
const tailBytes = 8 + magic.length;
/** Pages begin at multiples of this, as the system's do: 4 KiB, 16 KiB on Apple silicon. Where they are larger, pages are copied. */
const alignment = 16_384;
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
  /** Where it begins in the file. */
  readonly at: number;
  readonly bytes: number;
  readonly crc32: number;
}

/** K and V of positions from .. to - 1 of a layer. */
interface StoredRows {
  readonly layer: number;
  readonly from: number;
  readonly to: number;
  readonly k: Part;
  readonly v: Part;
}

interface Description extends Block {
  readonly images: readonly Part[];
  readonly rows: readonly StoredRows[];
}

/** Writes what a context has read from `block.from` on, with the soft tokens of the images there. Errors: those of the file system. */
export function writeBlock(path: string, block: Block, context: Context, images: readonly Float32Array[]): Promise<void> {
  return writePrivately(path, async (file) => {
    let at = 0;
    const append = async (content: Uint8Array): Promise<void> => {
      await file.writeFile(content);
      at += content.byteLength;
    };
    const put = async (content: Uint8Array, aligned = false): Promise<Part> => {
      if (aligned && at % alignment > 0) await append(Buffer.alloc(alignment - (at % alignment)));
      const start = at;
      let sum = 0;
      for (let done = 0; done < content.byteLength; done += sliceBytes) {
        const slice = content.subarray(done, done + sliceBytes);
        await append(slice);
        sum = crc32(slice, sum);
      }
      return { at: start, bytes: content.byteLength, crc32: sum };
    };
    await append(magic);
    const soft: Part[] = [];
    for (const image of images) soft.push(await put(new Uint8Array(image.buffer, image.byteOffset, image.byteLength)));
    const stored: StoredRows[] = [];
    for await (const { layer, rows } of context.save(block.from)) {
      const global = context.config.layers[layer]!.kind === 'global';
      stored.push({ layer, from: rows.from, to: rows.to, k: await put(rows.k, global), v: await put(rows.v, global) });
    }
    const description: Description = { ...block, images: soft, rows: stored };
    const json = Buffer.from(JSON.stringify(description));
    const tail = Buffer.alloc(8);
    tail.writeUInt32LE(json.length, 0);
    tail.writeUInt32LE(crc32(json), 4);
    await append(Buffer.concat([json, tail, magic]));
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
    for (const part of this.description.images) {
      const content = await this.#read(part);
      if (content === null) return null;
      images.push(new Float32Array(content.buffer));
    }
    return images;
  }

  /** Brings keys and values of the layers of one kind into a context that has read nothing. False where they are damaged. */
  async restore(context: Context, kind: 'local' | 'global'): Promise<boolean> {
    const those = this.description.rows.filter(({ layer }) => context.config.layers[layer]?.kind === kind);
    const room = (what: 'k' | 'v'): Uint8Array<ArrayBuffer> => new Uint8Array(Math.max(0, ...those.map((rows) => rows[what].bytes)));
    const [forK, forV] = [room('k'), room('v')];
    for (const { layer, from, to, k, v } of those) {
      // All of it is read once, for its checksum; where it can be mapped, it is not kept.
      const keys = await this.#read(k, forK);
      const values = await this.#read(v, forV);
      if (keys === null || values === null) return false;
      const mapped = kind === 'global' && context.restorePage(layer, from, { file: this.file.fd, bytes: k.bytes, k: k.at, v: v.at });
      if (!mapped) context.restore({ layer, rows: { from, to, k: keys, v: values } });
    }
    return true;
  }

  /** Whether all of the block is as it was written. */
  async isSound(): Promise<boolean> {
    const { images, rows } = this.description;
    for (const part of [...images, ...rows.flatMap(({ k, v }) => [k, v])]) if ((await this.#read(part)) === null) return false;
    return true;
  }

  /** null where it is damaged. */
  async #read({ at, bytes, crc32: expected }: Part, into = new Uint8Array(bytes)): Promise<Uint8Array<ArrayBuffer> | null> {
    const content = into.subarray(0, bytes);
    const sum = await readBytes(this.file, at, content).catch(() => null);
    return sum === expected ? content : null;
  }
}

async function readDescription(file: FileHandle): Promise<Description | null> {
  const { size } = await file.stat();
  if (size < magic.length + tailBytes) return null;
  const tail = Buffer.alloc(tailBytes);
  await readBytes(file, size - tailBytes, tail);
  const length = tail.readUInt32LE(0);
  const start = size - tailBytes - length;
  if (!tail.subarray(8).equals(magic) || start < magic.length) return null;
  const json = Buffer.alloc(length);
  if ((await readBytes(file, start, json)) !== tail.readUInt32LE(4)) return null;
  const description = JSON.parse(json.toString()) as Description;
  const { images, rows } = description;
  const inside = [...images, ...rows.flatMap(({ k, v }) => [k, v])].every(({ at, bytes }) => at >= magic.length && at + bytes <= start);
  return inside && description.from < description.standing.length ? description : null;
}

/** Fills `content` with what lies from byte `start` on, and gives its CRC-32; null where the file is shorter. */
async function readBytes(file: FileHandle, start: number, content: Uint8Array): Promise<number | null> {
  let sum = 0;
  for (let done = 0; done < content.byteLength; ) {
    const { bytesRead } = await file.read(content, done, Math.min(content.byteLength - done, sliceBytes), start + done);
    if (bytesRead === 0) return null;
    sum = crc32(content.subarray(done, done + bytesRead), sum);
    done += bytesRead;
  }
  return sum;
}
