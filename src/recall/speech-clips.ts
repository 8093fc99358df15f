/**
 * Sentences that are in the package as sound, said by synthetic voices that the embedded speech model has never heard, and
 * recordings put together from them.
 */
import { readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { sampleRate } from '../encode/log-mel.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { defaultLimits } from '../ingest/limits.js';
import { openRecording } from '../ingest/media/open.js';
import type { Times } from '../ingest/segment.js';

interface Clip {
  readonly text: string;
  readonly voice: string;
  /** Seconds in its file. */
  readonly from: number;
  readonly to: number;
}

export interface SpeechClips {
  /** Where `haystack.ogg` and `needles.ogg` lie. */
  readonly dir: string;
  readonly haystack: readonly Clip[];
  readonly needles: readonly Clip[];
}

/** Seconds of silence behind each piece of a recording. */
const pause = 0.4;

/** Errors: LodestoneError(unreadableInput). */
export function openSpeechClips(dir: string): SpeechClips {
  const file = path.join(dir, 'index.json');
  try {
    return { dir, ...(JSON.parse(readFileSync(file, 'utf8')) as Omit<SpeechClips, 'dir'>) };
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `${file}: ${(cause as Error).message}`, { cause });
  }
}

/** Says what there is a clip of. */
export class Speaker {
  readonly #clips: SpeechClips;
  readonly #sounds = new Map<string, Promise<Float32Array>>();

  constructor(clips: SpeechClips) {
    this.#clips = clips;
  }

  /**
   * Writes the texts, said one after another, as WAV (16 bits, 16 kHz, mono); in bounded memory, however long it becomes.
   * @returns when each was said, in seconds
   * Errors: LodestoneError(unreadableInput) where the clips can't be decoded; RangeError for a text without a clip; the signal's reason.
   */
  async record(texts: readonly string[], file: string, signal?: AbortSignal): Promise<Times[]> {
    const said: Times[] = [];
    const gap = new Float32Array(Math.round(pause * sampleRate));
    const out = await open(file, 'w');
    try {
      await out.write(wavHeader(0));
      let samples = 0;
      for (const text of texts) {
        signal?.throwIfAborted();
        const sound = await this.#sound(text);
        said.push([samples / sampleRate, (samples + sound.length) / sampleRate]);
        for (const piece of [sound, gap]) await out.write(pcm(piece));
        samples += sound.length + gap.length;
      }
      await out.write(wavHeader(samples), 0, undefined, 0);
    } finally {
      await out.close();
    }
    return said;
  }

  async #sound(text: string): Promise<Float32Array> {
    const { haystack, needles } = this.#clips;
    const wanted = text.trim();
    for (const [name, clips] of [['needles.ogg', needles], ['haystack.ogg', haystack]] as const) {
      const clip = clips.find((one) => one.text === wanted);
      if (clip) return (await this.#decoded(name)).subarray(Math.round(clip.from * sampleRate), Math.round(clip.to * sampleRate));
    }
    throw new RangeError(`there is no sound of ${JSON.stringify(wanted)}`);
  }

  #decoded(name: string): Promise<Float32Array> {
    const known = this.#sounds.get(name) ?? decodeWhole(path.join(this.#clips.dir, name));
    this.#sounds.set(name, known);
    return known;
  }
}

/** A recording's sound, 16 kHz mono. Errors: LodestoneError(unreadableInput). */
export async function decodeWhole(file: string): Promise<Float32Array> {
  const recording = await openRecording(file);
  const pieces: Float32Array[] = [];
  for await (const piece of recording.decoder.sound(file, { range: { from: 0, to: Infinity }, stallMs: defaultLimits.mediaStallMs })) pieces.push(piece);
  const whole = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function pcm(samples: Float32Array): Buffer {
  const bytes = Buffer.alloc(2 * samples.length);
  for (const [i, sample] of samples.entries()) bytes.writeInt16LE(Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), 2 * i);
  return bytes;
}

/** Source: Microsoft's RIFF and WAVEFORMAT. */
function wavHeader(samples: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + 2 * samples, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(2 * sampleRate, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(2 * samples, 40);
  return header;
}
