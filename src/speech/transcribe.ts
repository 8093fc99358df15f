/**
 * Sound of any length to text with times, window after window, in bounded memory. A window begins where the last piece of
 * speech of the one before ended, so that none is cut. Windows do not see each other's text: what one repeats or makes up
 * does not spread.
 * Source: Whisper's `transcribe.py`.
 */
import { LogMel, sampleRate } from '../encode/log-mel.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { Recogniser } from './model.js';
import { leadingSilence } from './silence.js';
import { detectLanguage, promptOf, transcribeWindow, type WindowText } from './window.js';
import { alignWords, type SpeechWord, type TokenPiece } from './words.js';

/** A piece of speech, about a sentence. */
export interface SpeechSegment {
  /** Seconds. */
  readonly from: number;
  readonly to: number;
  /** Without white space around it. */
  readonly text: string;
  readonly words: readonly SpeechWord[];
  /** Geometric mean of its tokens' probabilities. */
  readonly probability: number;
}

/** What one window gave. */
export interface TranscribedWindow {
  readonly segments: readonly SpeechSegment[];
  /** Seconds up to which everything has been heard: another run may go on here. */
  readonly heard: number;
  /** null: a model of English alone, or nothing but silence so far. */
  readonly language: string | null;
  /** Here the model repeated itself; what it repeated is kept once. */
  readonly repeated: boolean;
}

export interface TranscribeOptions {
  /** `en`, ...; default: as the first window that is not silent sounds. */
  readonly language?: string | null | undefined;
  /** When the sound begins, in seconds; it is added to all times. Default 0. */
  readonly from?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Silence at the beginning of a window is left out where it is this long, in seconds, but for the last of it. */
const longSilence = 1;
const keptSilence = 0.2;
/** A rest that is shorter than this holds no speech, in seconds. */
const shortestSound = 0.1;

/** Throws LodestoneError(usage) where the model does not know the language. */
export function checkLanguage(model: Recogniser, language: string): void {
  const { languages } = model.config.tokens;
  if (languages.has(language) || (languages.size === 0 && language === 'en')) return;
  const known = languages.size === 0 ? 'English alone' : `${[...languages.keys()].slice(0, 8).join(', ')}${languages.size > 8 ? `, ... (${languages.size} languages)` : ''}`;
  throw new LodestoneError(ExitCode.usage, `--language ${language}: this speech model knows ${known}`);
}

/**
 * @param sound 16 kHz mono, -1..1, in pieces of any size
 * Errors: LodestoneError(usage) as `checkLanguage`; the signal's reason; those of `sound`.
 */
export async function* transcribe(model: Recogniser, sound: AsyncIterable<Float32Array>, options: TranscribeOptions = {}): AsyncGenerator<TranscribedWindow> {
  const { signal, from = 0 } = options;
  const { config } = model;
  const { hop } = config.frames;
  const mel = new LogMel(config.melBands, config.frames);
  const frames = 2 * config.sourcePositions;
  const windowSamples = frames * hop;
  const source = new SoundBuffer(sound);
  let language = options.language ?? null;
  if (language !== null) checkLanguage(model, language);
  if (config.tokens.languages.size === 0) language = null;
  const start = Math.round(from * sampleRate);
  for (let at = 0; ; ) {
    const samples = await source.window(at, windowSamples);
    if (samples.length < shortestSound * sampleRate) return;
    const seconds = (position: number): number => (start + position) / sampleRate;
    const silence = leadingSilence(samples);
    if (silence === samples.length || silence > longSilence * sampleRate) {
      const skipped = silence === samples.length ? silence : silence - keptSilence * sampleRate;
      at += Math.max(hop, Math.floor(skipped / hop) * hop);
      yield { segments: [], heard: seconds(at), language, repeated: false };
      if (samples.length < windowSamples && silence === samples.length) return;
      continue;
    }
    await model.listen(mel.features(samples, frames), signal);
    language ??= await detectLanguage(model, signal);
    const prompt = promptOf(config.tokens, language);
    const text = await transcribeWindow(model, prompt, start + at, signal);
    const positions = Math.max(1, Math.min(config.sourcePositions, Math.ceil(samples.length / (2 * hop))));
    const { pieces, next } = text ? cutAtTimes(text, positions, config.tokens.firstTime) : { pieces: [], next: positions };
    const words = await alignWords(model, prompt, pieces, positions, language, signal);
    const segments: SpeechSegment[] = [];
    for (const [i, piece] of pieces.entries()) {
      const decoded = (await model.tokenizer.decode(piece.text)).trim();
      if (decoded !== '') segments.push(toSegment(piece, decoded, words[i]!, seconds(at), config.secondsPerPosition));
    }
    at += next * 2 * hop;
    yield { segments, heard: seconds(Math.min(at, source.length ?? at)), language, repeated: text?.repeated ?? false };
  }
}

interface Piece extends TokenPiece {
  /** Positions in the window. */
  readonly from: number;
  readonly to: number;
}

/** A window's tokens cut where two times meet; `next`: the position where the next window begins. */
export function cutAtTimes({ tokens, probabilities }: Pick<WindowText, 'tokens' | 'probabilities'>, positions: number, firstTime: number): { pieces: Piece[]; next: number } {
  const isTime = (i: number): boolean => (tokens[i] ?? -1) >= firstTime;
  const piece = (begin: number, end: number, until: number): Piece => {
    const text = Array.from({ length: end - begin }, (_, i) => begin + i).filter((i) => !isTime(i));
    const from = isTime(begin) ? tokens[begin]! - firstTime : 0;
    return { from: Math.min(from, positions), to: Math.min(Math.max(from, until), positions), text: text.map((i) => tokens[i]!), probabilities: text.map((i) => probabilities[i]!) };
  };
  const cuts: number[] = [];
  for (let i = 1; i < tokens.length; i++) if (isTime(i) && isTime(i - 1)) cuts.push(i);
  const last = tokens.length - 1;
  // One time at the end: nothing more is said in this window.
  const whole = isTime(last) && !isTime(last - 1);
  if (cuts.length > 0) {
    if (whole) cuts.push(tokens.length);
    let begin = 0;
    const pieces = cuts.map((end) => {
      const made = piece(begin, end, tokens[end - 1]! - firstTime);
      begin = end;
      return made;
    });
    const reached = pieces.at(-1)!.to;
    // What follows the last pair is cut by the window's end: it is heard again in the next one.
    return { pieces, next: whole || reached < 1 ? positions : reached };
  }
  // A time alone: here begins what the window's end cuts.
  if (tokens.length === 1 && isTime(0)) return { pieces: [], next: Math.min(tokens[0]! - firstTime, positions) || positions };
  const closing = tokens.findLast((id, i) => i > 0 && id >= firstTime);
  return { pieces: tokens.length === 0 ? [] : [piece(0, tokens.length, closing === undefined ? positions : closing - firstTime)], next: positions };
}

function toSegment({ from, to, probabilities }: Piece, text: string, timed: readonly SpeechWord[], offset: number, secondsPerPosition: number): SpeechSegment {
  const [begin, end] = [from * secondsPerPosition, to * secondsPerPosition];
  // The path begins where the window does and ends with it: silence around the speech is no part of a word.
  const words = timed.map((word, i) => ({
    ...word,
    from: offset + (i === 0 && begin < word.to ? Math.max(begin, word.from) : word.from),
    to: offset + (i === timed.length - 1 && end > word.from ? Math.min(end, word.to) : word.to),
  }));
  return {
    // The words are timed more finely than the piece.
    from: words[0]?.from ?? offset + begin,
    to: words.at(-1)?.to ?? offset + end,
    text,
    words,
    probability: Math.exp(probabilities.reduce((sum, probability) => sum + Math.log(probability), 0) / Math.max(1, probabilities.length)),
  };
}

/** A window that slides over a stream of samples; what is behind it is forgotten. */
class SoundBuffer {
  readonly #pieces: AsyncIterator<Float32Array>;
  #held: Float32Array = new Float32Array(0);
  /** Sample number of `#held[0]`. */
  #first = 0;
  #ended = false;

  constructor(sound: AsyncIterable<Float32Array>) {
    this.#pieces = sound[Symbol.asyncIterator]();
  }

  /** Samples in all; null while that is not known. */
  get length(): number | null {
    return this.#ended ? this.#first + this.#held.length : null;
  }

  /** `count` samples from number `from` on, fewer at the end. `from` never goes back. */
  async window(from: number, count: number): Promise<Float32Array> {
    const pieces = [this.#held];
    let held = this.#held.length;
    while (!this.#ended && this.#first + held < from + count) {
      const next = await this.#pieces.next();
      if (next.done) {
        this.#ended = true;
        break;
      }
      pieces.push(next.value);
      held += next.value.length;
      while (pieces.length > 0 && this.#first + pieces[0]!.length <= from) {
        const { length } = pieces.shift()!;
        this.#first += length;
        held -= length;
      }
    }
    const skipped = Math.min(held, Math.max(0, from - this.#first));
    const all = new Float32Array(held);
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.length;
    }
    this.#held = all.slice(skipped);
    this.#first += skipped;
    return this.#held.subarray(0, count);
  }
}
