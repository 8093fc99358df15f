/** A recording, opened: what it holds, and how to get at its sound and pictures. */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { sampleRate } from '../../encode/log-mel.js';
import { unreadable } from '../name.js';
import { Ffmpeg } from './ffmpeg.js';
import { findFfmpeg } from './find-ffmpeg.js';
import type { DecodeOptions, MediaDecoder, MediaInfo } from './media.js';
import { findMediabunny } from './mediabunny.js';
import { resample } from './resample.js';
import { isWav, readWav, WavError, type Sound } from './wav.js';

export interface Recording extends MediaInfo {
  readonly path: string;
  readonly decoder: MediaDecoder;
}

/**
 * WAV needs no other program; everything else needs ffmpeg or, where there is none, mediabunny and node-webcodecs.
 * Errors: LodestoneError(unreadableInput), one line that names the file and says what to do; LodestoneError(usage) where
 * FFMPEG_BIN is wrong; the signal's reason.
 */
export async function openRecording(path: string, signal?: AbortSignal): Promise<Recording> {
  if (isWav(await head(path))) {
    try {
      return { path, decoder: wavDecoder, ...(await wavDecoder.probe(path, signal)) };
    } catch (error) {
      // Compressed WAV is another decoder's.
      if (!(error instanceof WavError) || (await findDecoder()) === null) throw explain(path, error);
    }
  }
  const decoder = await findDecoder();
  if (decoder === null) throw unreadable(path, `needs ffmpeg to be decoded, and there is none here: ${installHint()}, or name it in FFMPEG_BIN; a WAV file needs none`);
  return { path, decoder, ...(await decoder.probe(path, signal)) };
}

async function findDecoder(): Promise<MediaDecoder | null> {
  const program = await findFfmpeg();
  return program === null ? findMediabunny() : new Ffmpeg(program);
}

function installHint(): string {
  if (process.platform === 'darwin') return 'brew install ffmpeg';
  return process.platform === 'win32' ? 'winget install ffmpeg' : 'apt-get install ffmpeg (or dnf, apk, pacman)';
}

async function head(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array(12);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function explain(path: string, error: unknown): unknown {
  return error instanceof WavError ? unreadable(path, error.message, { cause: error }) : error;
}

/** Our own reader of WAV. */
const wavDecoder: MediaDecoder = {
  description: 'WAV, read directly',
  async probe(path) {
    const { seconds } = await openWav(path, (sound) => Promise.resolve(sound));
    return { seconds, audio: true, video: false };
  },
  async *sound(path, { range, signal }: DecodeOptions) {
    const stream = createReadStream(path, signal ? { signal } : {});
    try {
      const { samples, sampleRate: rate } = await readWav(stream);
      const begin = Math.round(range.from * rate);
      const end = range.to === Infinity ? Infinity : Math.round(range.to * rate);
      yield* resample(between(samples, begin, end), rate, sampleRate);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw explain(path, error);
    } finally {
      stream.destroy();
    }
  },
  // oxlint-disable-next-line require-yield -- there are none
  async *frames(path) {
    throw unreadable(path, 'has no pictures');
  },
};

async function openWav<T>(path: string, use: (sound: Sound) => Promise<T>): Promise<T> {
  const stream = createReadStream(path);
  try {
    return await use(await readWav(stream));
  } finally {
    stream.destroy();
  }
}

/** Samples from number `begin` to before `end`. */
async function* between(samples: AsyncIterable<Float32Array>, begin: number, end: number): AsyncGenerator<Float32Array> {
  let at = 0;
  for await (const piece of samples) {
    const cut = piece.subarray(Math.max(0, begin - at), Math.max(0, end - at));
    at += piece.length;
    if (cut.length > 0) yield cut;
    if (at >= end) return;
  }
}
