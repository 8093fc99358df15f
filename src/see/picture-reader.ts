/**
 * Pictures to the text that lies over them: a vision tower whose soft tokens, cell by cell of the picture, point at the pieces of
 * a text model's vocabulary. What they say is text like any other from here on: a model that copies its answers can copy it, and
 * a citation can name its time.
 *
 *   soft tokens = projector(tower(picture));  probabilities = softmax(soft tokens . embedding of the pieces)
 */
import type { Device } from '../device/device.js';
import { imagePatches, shifted } from '../encode/image.js';
import { loadVisionWeights, locateVisionWeights, type LoadedVision, type VisionPlaces } from '../gemma/vision-weights.js';
import type { Raster } from '../ingest/segment.js';
import { ImageEncoder } from '../runtime/image-encoder.js';
import { badFile } from '../weights/errors.js';
import { sha256OfFiles } from '../weights/hash.js';
import { readTensorF32 } from '../weights/read.js';
import { openCheckpoint, type Checkpoint } from '../weights/safetensors.js';
import { agreed } from './agree.js';
import { openSeeConfig, type SeeConfig } from './config.js';
import { readCells } from './read-cells.js';

/** The output layer: the rows of the text model's embedding for nothing and for each of the characters. */
const piecesName = 'language_model.model.embed_tokens.weight';

/** Of a cell, how far a picture is moved for its second and third reading (3 / 8: 70 of 100 words where half makes it 77). */
const MOVED = 1 / 2;

interface Loaded {
  readonly vision: LoadedVision;
  readonly encoder: ImageEncoder;
  /** f32 [pieces, width] */
  readonly pieces: Float32Array;
}

export class PictureReader {
  readonly config: SeeConfig;
  readonly #device: Device;
  readonly #checkpoint: Checkpoint;
  readonly #places: VisionPlaces;
  #loaded: Promise<Loaded> | undefined;
  #hash: Promise<string> | undefined;

  private constructor(device: Device, config: SeeConfig, checkpoint: Checkpoint, places: VisionPlaces) {
    this.#device = device;
    this.config = config;
    this.#checkpoint = checkpoint;
    this.#places = places;
  }

  /** Nothing is loaded before the first picture. Errors: LodestoneError(badModel). */
  static async open(dir: string, device: Device): Promise<PictureReader> {
    const config = await openSeeConfig(dir);
    const checkpoint = await openCheckpoint(dir);
    const places = locateVisionWeights(checkpoint, config.vision, config.width);
    const pieces = checkpoint.tensors.get(piecesName);
    if (!places) throw badFile(dir, 'has no vision tower');
    if (pieces?.shape.join() !== [config.characters.length + 1, config.width].join()) {
      throw badFile(dir, `${piecesName} is not ${config.characters.length + 1} x ${config.width}, a row for nothing and one for each of lodestone.characters`);
    }
    return new PictureReader(device, config, checkpoint, places);
  }

  /**
   * The lines of text in a picture, from top to bottom. Where there are any, the picture is read twice more, moved by a part of a cell:
   * letters stand elsewhere in the cells then, and what one reading gets wrong the others may not.
   * Errors: LodestoneError(badModel, outOfMemory); the signal's reason.
   */
  async read(picture: Raster, signal?: AbortSignal): Promise<string[]> {
    const first = await this.#read(picture, signal);
    if (first.length === 0) return first;
    const { side, poolSize } = this.config.vision;
    const part = (MOVED * poolSize) / side;
    const right = await this.#read(shifted(picture, Math.round(part * picture.width), 0), signal);
    const down = await this.#read(shifted(picture, 0, Math.round(part * picture.height)), signal);
    // A reading that finds nothing says nothing of what stands there.
    return agreed([first, right, down].filter((lines) => lines.length > 0));
  }

  async #read(picture: Raster, signal: AbortSignal | undefined): Promise<string[]> {
    const { vision, width, characters } = this.config;
    const { encoder, pieces } = await (this.#loaded ??= this.#load(signal));
    const soft = await encoder.encode(imagePatches(picture, vision), signal ? { signal } : {});
    const side = vision.side / vision.poolSize;
    return readCells({ rows: side, columns: side, characters, probabilities: probabilities(soft, pieces, width) });
  }

  /** Of the model's files: what is read with another model may be read otherwise. */
  hash(signal?: AbortSignal): Promise<string> {
    this.#hash ??= sha256OfFiles(this.#checkpoint.files, signal);
    return this.#hash;
  }

  async close(): Promise<void> {
    const loaded = await this.#loaded?.catch(() => undefined);
    loaded?.encoder.close();
    for (const buffer of loaded?.vision.buffers ?? []) this.#device.destroyBuffer(buffer);
  }

  async #load(signal: AbortSignal | undefined): Promise<Loaded> {
    const pieces = await readTensorF32(this.#checkpoint.tensors.get(piecesName)!);
    const vision = await loadVisionWeights(this.#device, this.#places, signal);
    const { vision: config, width, eps } = this.config;
    return { vision, pieces, encoder: new ImageEncoder(this.#device, config, vision.weights, { hiddenSize: width, eps }) };
  }
}

/** softmax(soft . pieces^T): f32 [cells, pieces]. */
function probabilities(soft: Float32Array, pieces: Float32Array, width: number): Float32Array {
  const [cells, classes] = [soft.length / width, pieces.length / width];
  const result = new Float32Array(cells * classes);
  const logits = new Float64Array(classes);
  for (let cell = 0; cell < cells; cell++) {
    let most = -Infinity;
    for (let i = 0; i < classes; i++) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += soft[cell * width + j]! * pieces[i * width + j]!;
      logits[i] = sum;
      if (sum > most) most = sum;
    }
    let total = 0;
    for (let i = 0; i < classes; i++) total += logits[i] = Math.exp(logits[i]! - most);
    for (let i = 0; i < classes; i++) result[cell * classes + i] = logits[i]! / total;
  }
  return result;
}
