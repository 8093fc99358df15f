/**
 * Soft tokens kept on disk, a file an image, by what the vision tower was shown and by the tower itself: the same picture is
 * encoded once, and an interrupted video goes on. Nothing but time is lost with them.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device } from '../device/device.js';
import { writePrivately } from '../sessions/private-file.js';
import { makeRoom, markFileUsed } from '../sessions/room.js';
import { visionTensors, type VisionPlaces } from '../gemma/vision-weights.js';

/** The most bytes of all of them: those of the longest video that a large model's context holds, and some more. */
const mostBytes = 4 * 2 ** 30;

/** @param cache folder of what can be computed again */
export function imagesFolder(cache: string): string {
  return join(cache, 'images');
}

export class KeptImages {
  readonly #dir: string;
  readonly #tower: string;

  private constructor(dir: string, tower: string) {
    this.#dir = dir;
    this.#tower = tower;
  }

  /** @param device devices agree on soft tokens nearly, not to the bit */
  static async open(dir: string, places: VisionPlaces, device: Pick<Device, 'description'>, signal?: AbortSignal): Promise<KeptImages> {
    await makeRoom(dir, mostBytes);
    const hash = createHash('sha256').update(device.description);
    for (const { name, path, offset, bytes } of visionTensors(places)) {
      hash.update(name);
      for await (const chunk of createReadStream(path, { start: offset, end: offset + bytes - 1, signal })) hash.update(chunk as Buffer);
    }
    return new KeptImages(dir, hash.digest('hex'));
  }

  /** @param patches what the tower is shown; null: it was never shown that, or nothing of this length was kept */
  async find(patches: Float32Array, length: number): Promise<Float32Array | null> {
    const path = this.#path(patches);
    const bytes = await readFile(path).catch(() => null);
    if (bytes?.length !== length * Float32Array.BYTES_PER_ELEMENT) return null;
    await markFileUsed(path);
    return new Float32Array(new Uint8Array(bytes).buffer);
  }

  async keep(patches: Float32Array, soft: Float32Array): Promise<void> {
    const bytes = new Uint8Array(soft.buffer, soft.byteOffset, soft.byteLength);
    // Where there is no place for it, it is encoded again next time.
    await writePrivately(this.#path(patches), (file) => file.writeFile(bytes)).catch(() => undefined);
  }

  #path(patches: Float32Array): string {
    const shown = createHash('sha256').update(this.#tower).update(new Uint8Array(patches.buffer, patches.byteOffset, patches.byteLength));
    return join(this.#dir, `${shown.digest('hex')}.f32`);
  }
}
