/** Decoders that are programs of their own: how one is run, and what its end says of the file. */
import { sampleRate } from '../../encode/log-mel.js';
import { unreadable } from '../name.js';
import type { DecodeOptions } from './media.js';
import { readProgram, type ProgramEnd } from './process.js';
import { resample } from './resample.js';
import { readWav, WavError } from './wav.js';

export interface Invocation {
  readonly program: string;
  readonly args: readonly string[];
}

/** What the program writes to stdout. Errors: LodestoneError(unreadableInput) that names `path`; the signal's reason. */
export async function* decodeWith({ program, args }: Invocation, path: string, { signal, stallMs, onDamage }: Omit<DecodeOptions, 'range'>): AsyncGenerator<Uint8Array> {
  const reader = readProgram(program, args, { signal, stallMs });
  let some = false;
  let step = await reader.next();
  try {
    for (; !step.done; step = await reader.next()) {
      some = true;
      yield step.value;
    }
  } finally {
    if (!step.done) await reader.return({ code: 0, stderr: '', stalled: false });
  }
  judge(path, step.value, some, stallMs, onDamage);
}

function judge(path: string, { code, stderr, stalled }: ProgramEnd, some: boolean, stallMs: number, onDamage: ((what: string) => void) | undefined): void {
  if (stalled) throw unreadable(path, `gave nothing more to decode for ${stallMs / 1000} s and was given up`);
  if (code !== 0 && !some) throw unreadable(path, `can't be decoded: ${reason(stderr, path)}`);
  if (code !== 0 || stderr !== '') onDamage?.(`parts of it are damaged and could not be decoded (${reason(stderr, path)})`);
}

/** The line of a decoder's complaints that says what is wrong, without the path. */
export function reason(stderr: string, path: string): string {
  const lines = stderr.split('\n').map((line) => line.replace(/^\[[^\]]*\] */, '').replaceAll(`file:${path}: `, '').replaceAll(/[\p{Cc}\s]+/gu, ' ').trim());
  const told = lines.find((line) => /moov atom|invalid data|not on whitelist|does not contain|unknown|invalid argument|error/i.test(line)) ?? lines.findLast((line) => line !== '');
  const line = told ?? 'the decoder does not say why';
  return line.length > 160 ? `${line.slice(0, 160)}...` : line;
}

/** WAV, as a decoder writes it, to 16 kHz. */
export async function* soundOf(path: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Float32Array> {
  const wav = await readWav(bytes).catch((cause: unknown) => {
    // The decoder's own complaint came first where there was one; this is a sound track of nothing.
    throw cause instanceof WavError ? unreadable(path, 'has a sound track without sound', { cause }) : cause;
  });
  yield* resample(wav.samples, wav.sampleRate, sampleRate);
}
