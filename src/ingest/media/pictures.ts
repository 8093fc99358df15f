/**
 * Which pictures of a video are looked at: one that shows what the last one showed is left out, and that one's time goes
 * on; a new scene begins where most of the picture changes.
 */
import { resize } from '../../encode/image.js';
import type { FrameCounts, Raster, Times } from '../segment.js';
import type { Frame } from './media.js';

/** `changed`: all but repeated ones. `scenes`: the first of each scene. */
export type FrameChoice = 'all' | 'changed' | 'scenes';

/** @template Kept what is kept of a frame */
export interface ShownFrame<Kept> {
  readonly picture: Kept;
  /** Seconds: from its own time until the next one that is shown. */
  readonly time: Times;
}

/** Cells along each side of the small picture that is compared. */
const side = 64;
/** Levels of 255 by which a colour of a cell of a picture that shows the same may differ: codecs leave a little noise. */
const noise = 6;
/** Mean difference of all cells and colours from which on it is another scene. */
const cut = 30;

const thumbnail = (image: Raster): Uint8Array => resize(image, side, side).data;

function difference(a: Uint8Array, b: Uint8Array): { readonly most: number; readonly mean: number } {
  let most = 0;
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const each = Math.abs(a[i]! - b[i]!);
    sum += each;
    if (each > most) most = each;
  }
  return { most, mean: sum / a.length };
}

/** Frame after frame, and at the end what to look at. */
export class Pictures<Kept> {
  readonly #choice: FrameChoice;
  readonly #period: number;
  readonly #prepare: (image: Raster) => Kept;
  readonly #shown: { readonly picture: Kept; readonly from: number }[] = [];
  /** Of the last one that is shown, and of the last one. */
  #shownThumbnail: Uint8Array | undefined;
  #lastThumbnail: Uint8Array | undefined;
  #lastTime = 0;
  #repeated = 0;
  #skipped = 0;
  #scenes = 0;

  /**
   * @param period seconds that a frame lasts
   * @param prepare makes of a frame what is kept of it
   */
  constructor(choice: FrameChoice, period: number, prepare: (image: Raster) => Kept) {
    this.#choice = choice;
    this.#period = period;
    this.#prepare = prepare;
  }

  get count(): number {
    return this.#shown.length;
  }

  add({ time, image }: Frame): void {
    const now = thumbnail(image);
    const newScene = !this.#lastThumbnail || difference(now, this.#lastThumbnail).mean > cut;
    this.#lastThumbnail = now;
    this.#lastTime = time;
    if (newScene) this.#scenes++;
    if (this.#choice === 'scenes' && !newScene) {
      this.#skipped++;
      return;
    }
    if (this.#choice === 'changed' && this.#shownThumbnail && difference(now, this.#shownThumbnail).most <= noise) {
      this.#repeated++;
      return;
    }
    this.#shownThumbnail = now;
    this.#shown.push({ picture: this.#prepare(image), from: time });
  }

  finish(): { frames: ShownFrame<Kept>[]; counts: FrameCounts } {
    const end = this.#lastTime + this.#period;
    const frames = this.#shown.map(({ picture, from }, i) => ({ picture, time: [from, this.#shown[i + 1]?.from ?? end] as const }));
    return { frames, counts: { shown: frames.length, repeated: this.#repeated, skipped: this.#skipped, scenes: this.#scenes } };
  }
}
