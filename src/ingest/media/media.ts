/** What decodes sound and pictures, and what it says of a file: the same whoever does it. */
import type { Raster } from '../segment.js';

export interface MediaInfo {
  /** Seconds; null: the file does not say. */
  readonly seconds: number | null;
  readonly audio: boolean;
  /** Pictures that move; a cover is none. */
  readonly video: boolean;
}

/** Part of a recording, in seconds. */
export interface TimeRange {
  readonly from: number;
  /** Infinity: to the end. */
  readonly to: number;
}

/** A picture as it is shown at `time`. */
export interface Frame {
  /** Seconds. */
  readonly time: number;
  readonly image: Raster;
}

export interface DecodeOptions {
  readonly range: TimeRange;
  readonly signal?: AbortSignal | undefined;
  /** Called for what could not be decoded; follows the source's name and a colon. */
  readonly onDamage?: ((what: string) => void) | undefined;
  /** Milliseconds without anything decoded, after which a file is given up. */
  readonly stallMs: number;
}

export interface FrameOptions extends DecodeOptions {
  /** Pictures per second: those shown at range.from, and every 1 / fps from there. */
  readonly fps: number;
  /** Larger ones are made smaller, to so many pixels on their longer side. */
  readonly mostPixels: number;
}

/**
 * Errors of all: LodestoneError(unreadableInput), one line that names the file; the signal's reason. Nothing is decoded
 * ahead of what is asked for, but for a few pieces; whoever stops asking stops the decoding.
 */
export interface MediaDecoder {
  /** For people: "ffmpeg 5.1.9". */
  readonly description: string;
  probe(path: string, signal?: AbortSignal): Promise<MediaInfo>;
  /** Mono, 16 kHz, -1..1, of the first sound track; its first sample lies at range.from. */
  sound(path: string, options: DecodeOptions): AsyncGenerator<Float32Array>;
  /** Of the first track of pictures, upright, in the order of their time. */
  frames(path: string, options: FrameOptions): AsyncGenerator<Frame>;
}
