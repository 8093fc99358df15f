/** The random Whisper checkpoint, what transformers computes with it, and the sound that it hears. */
import { createReadStream, readFileSync } from 'node:fs';
import path from 'node:path';
import { readWav } from '../../src/ingest/media/wav.js';
import { packageRoot } from '../../src/paths.js';

export const randomWhisper = path.join(packageRoot, 'fixtures', 'whisper-random');
export const talk = path.join(packageRoot, 'fixtures', 'talk.wav');

interface Golden {
  readonly seconds: number;
  readonly mel80: string;
  readonly mel128: string;
  readonly otherFrames: { readonly hop: number; readonly length: number; readonly mel: string };
  readonly encoder: string;
  readonly tokens: readonly number[];
  readonly decoder: readonly string[];
  readonly logits: string;
  readonly alignment: readonly string[];
  readonly written: readonly number[];
}

export const golden = JSON.parse(readFileSync(path.join(randomWhisper, 'golden.json'), 'utf8')) as Golden;

export function floats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}

export function largestDifference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) throw new Error(`${got.length} numbers instead of ${want.length}`);
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - want[i]!);
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

export async function join(pieces: AsyncIterable<Float32Array>): Promise<Float32Array> {
  const all: Float32Array[] = [];
  for await (const piece of pieces) all.push(piece);
  const out = new Float32Array(all.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of all) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

/** fixtures/talk.wav, 16 kHz. */
export async function talkSamples(): Promise<Float32Array> {
  return join((await readWav(createReadStream(talk))).samples);
}
