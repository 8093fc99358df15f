/**
 * Films to hide a needle in: cuts and pans over a few photographs, a picture a second, each coded once as JPEG, whose blocks and
 * halved colours are a video codec's too. They are handed to the product as decoded pictures, so that no encoder is needed; from
 * there on everything is as with a file.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { crop, resize } from '../encode/image.js';
import { defaultLimits } from '../ingest/limits.js';
import type { Frame } from '../ingest/media/media.js';
import type { Recording } from '../ingest/media/open.js';
import { readPictures } from '../ingest/media/read-pictures.js';
import type { IngestedSource, Raster } from '../ingest/segment.js';
import { packageRoot } from '../paths.js';
import { createRandom, pick, seedOf } from '../random.js';
import type { PictureReader } from '../see/picture-reader.js';
import { openLetters, openPicture, overlay, type Letters, type OverlayStyle } from './overlay.js';

/** A film's pictures are so large, as ffmpeg would hand them over of a wide film. */
const size = { width: 384, height: 216 };
/** Seconds from one cut to the next. */
const SCENE = 5;
/** Pictures that differ; then the film is the same again, as Gemini's was, which was a documentary seven times over. */
const PERIOD = 150;
const QUALITY = 75;

/** A picture of a film, or one with a text over it. */
export interface FilmPicture {
  readonly second: number;
  readonly text?: string;
}

const fixtures = path.join(packageRoot, 'fixtures', 'video');

/** Words that no film says by itself. */
export function secretWords(): string[] {
  return JSON.parse(readFileSync(path.join(fixtures, 'words.json'), 'utf8')) as string[];
}

export class Film {
  readonly #seed: number;
  readonly #photographs: readonly Raster[];
  readonly #letters: Letters;
  /** By second, within a period. */
  readonly #pictures = new Map<number, Promise<Raster>>();

  private constructor(seed: number, photographs: readonly Raster[], letters: Letters) {
    this.#seed = seed;
    this.#photographs = photographs;
    this.#letters = letters;
  }

  static async open(seed: number): Promise<Film> {
    const names = readdirSync(fixtures).filter((name) => name.endsWith('.jpg')).sort();
    return new Film(seed, await Promise.all(names.map((name) => openPicture(path.join(fixtures, name)))), await openLetters(fixtures));
  }

  /** The same second, the same picture. */
  async picture({ second, text }: FilmPicture): Promise<Raster> {
    const at = second % PERIOD;
    if (text !== undefined) return coded(overlay(this.#draw(at), text, this.#letters, this.#style(second, text)));
    let known = this.#pictures.get(at);
    if (!known) this.#pictures.set(at, (known = coded(this.#draw(at))));
    return known;
  }

  /** A window that moves over a photograph, each scene in its own light. */
  #draw(second: number): Raster {
    const random = createRandom(seedOf('scene', this.#seed, Math.floor(second / SCENE)));
    const photograph = pick(this.#photographs, random);
    const share = 0.5 + 0.4 * random();
    const [width, height] = [Math.round(photograph.width * share), Math.round(photograph.height * share)];
    const [fromX, toX, fromY, toY] = [random(), random(), random(), random()];
    const light = 0.5 + 0.8 * random();
    const moved = (second % SCENE) / SCENE;
    const left = Math.round((photograph.width - width) * (fromX + (toX - fromX) * moved));
    const top = Math.round((photograph.height - height) * (fromY + (toY - fromY) * moved));
    const { data, ...rest } = resize(crop(photograph, { left, top, right: left + width, bottom: top + height }), size.width, size.height);
    return { ...rest, data: data.map((value) => Math.min(255, value * light)) };
  }

  #style(second: number, text: string): OverlayStyle {
    const random = createRandom(seedOf('style', this.#seed, second, text));
    return { line: 0.18 + 0.05 * random(), middle: random(), dark: random() < 0.3 };
  }
}

/** Through a codec and back. */
async function coded(image: Raster): Promise<Raster> {
  const { default: sharp } = await import('sharp');
  const { width, height } = image;
  const jpeg = await sharp(image.data, { raw: { width, height, channels: 3 } }).jpeg({ quality: QUALITY, chromaSubsampling: '4:2:0' }).toBuffer();
  return { width, height, data: new Uint8Array(await sharp(jpeg).raw().toBuffer()) };
}

/** Reads each picture once, however many films show it. */
export function readingOnce(reader: PictureReader): Pick<PictureReader, 'config' | 'read' | 'hash'> {
  const known = new WeakMap<Raster, Promise<string[]>>();
  return {
    config: reader.config,
    hash: (signal) => reader.hash(signal),
    read(picture, signal) {
      let lines = known.get(picture);
      if (!lines) known.set(picture, (lines = reader.read(picture, signal)));
      return lines;
    },
  };
}

/** The film as `lodestone ask` would have it. Errors: those of the reader; the signal's reason. */
export async function watch(film: Film, pictures: readonly FilmPicture[], reader: Pick<PictureReader, 'config' | 'read' | 'hash'>, signal?: AbortSignal): Promise<IngestedSource> {
  async function* frames(): AsyncGenerator<Frame> {
    for (const [time, picture] of pictures.entries()) yield { time, image: await film.picture(picture) };
  }
  const none = (): never => {
    throw new RangeError('a film without sound');
  };
  const recording: Recording = { path: 'film', seconds: pictures.length, audio: false, video: true, decoder: { description: 'made here', probe: none, sound: none, frames } };
  const decoding = { range: { from: 0, to: Infinity }, signal, stallMs: defaultLimits.mediaStallMs };
  const { segments, counts } = await readPictures({ fps: 1, frames: 'changed', reader, keep: null }, recording, '', 0, decoding, () => undefined);
  return { source: { path: 'film', kind: 'video', bytes: 0, sha256: '', seconds: pictures.length, frames: counts }, segments, warnings: [] };
}
