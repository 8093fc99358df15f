/**
 * A recording to segments: its speech, and, for a model that sees, its pictures, on one line of time. What is not heard or
 * not looked at is said.
 */
import { shortClock } from '../../clock.js';
import { resize } from '../../encode/image.js';
import { ExitCode, LodestoneError } from '../../errors.js';
import type { SpeechSegment } from '../../speech/transcribe.js';
import type { Transcriber } from '../../speech/transcriber.js';
import { sha256OfFiles } from '../../weights/hash.js';
import type { IngestLimits } from '../limits.js';
import { sourceName, unreadable } from '../name.js';
import type { IngestedSource, IngestProgress, Raster, Segment } from '../segment.js';
import { stat } from 'node:fs/promises';
import { listen } from './listen.js';
import type { DecodeOptions, TimeRange } from './media.js';
import { openRecording, type Recording } from './open.js';
import { Pictures, type FrameChoice } from './pictures.js';
import { readPictures, type Looked, type VideoReading } from './read-pictures.js';
import { speechSegments } from './speech-segments.js';

export interface MediaOptions {
  /** What hears, asked for where there is sound; or why nothing does, to stand in a message. */
  readonly speech: () => Promise<Transcriber | string>;
  /** Looks at pictures, or reads what is written in them; or why nothing does. */
  readonly vision: VideoVision | VideoReading | string;
  readonly range: TimeRange;
  /** The range was asked for: there must be something that it is a part of. */
  readonly ranged: boolean;
}

export interface VideoVision {
  readonly fps: number;
  readonly frames: FrameChoice;
  /** Pixels along each side of the square that the model sees. */
  readonly imageSize: number;
  /** Keep pictures as they are, to be shown in parts too (Pan & Scan); else as the square that the model sees. */
  readonly whole: boolean;
  /** More than these can't be read: of those that follow only the number is kept. */
  readonly most: number;
}

export interface RecordingInput {
  /** As the user named it. */
  readonly path: string;
  /** Where its bytes lie. */
  readonly file: string;
  readonly index: number;
  /** Where they are known already. */
  readonly sha256?: string;
  readonly bytes?: number;
}

interface IngestContext {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined;
  readonly media?: MediaOptions | undefined;
  readonly pages?: unknown;
}

/**
 * Errors: LodestoneError(unreadableInput), one line that names the source; LodestoneError(usage) where the range lies behind
 * its end; those of the speech model; the signal's reason.
 */
export async function ingestRecording(input: RecordingInput, limits: IngestLimits, { signal, onProgress, media, pages }: IngestContext): Promise<IngestedSource> {
  const { path, file, index } = input;
  if (!media) throw unreadable(path, 'is a recording, and only text is read here');
  const recording = await openForPeople(path, file, signal);
  const { range, vision } = media;
  const end = Math.min(range.to, recording.seconds ?? Infinity);
  if (range.from >= end) throw new LodestoneError(ExitCode.usage, `--from ${shortClock(range.from)}: ${sourceName(path)} ends at ${shortClock(end)}`);
  const warnings: string[] = pages === undefined ? [] : ['it has no pages, so it is read whole whatever --pages says'];
  const speech = recording.audio ? await media.speech() : null;
  const hears = typeof speech === 'string' ? null : speech;
  const sees = recording.video && typeof vision !== 'string' ? vision : null;
  refuseBlindAndDeaf(path, recording, speech, vision);
  if (typeof speech === 'string') warnings.push(`its sound is not heard: ${speech}`);
  if (recording.video && typeof vision === 'string') warnings.push(`its pictures are not looked at: ${vision}`);
  const sha256 = input.sha256 ?? (await sha256OfFiles([file], signal));
  const decoding: DecodeOptions = { range, signal, stallMs: limits.mediaStallMs, onDamage: (what) => warnings.push(what) };
  const named = { ...recording, path: file };
  const progress = (unit: RecordingUnit): ((done: number) => void) => progressOf(path, unit, range.from, end, onProgress);
  const spoken = hears ? await hear(hears, named, sha256, index, decoding, progress('seconds of sound')) : [];
  const looked = sees ? await lookOrRead(sees, named, sha256, index, decoding, progress('seconds of pictures')) : { segments: [], counts: undefined };
  if (hears && spoken.length === 0) warnings.push('no speech was heard in it');
  if (looked.counts?.shown === 0) throw unreadable(path, 'has a track of pictures without pictures');
  if (sees && looked.segments.length === 0) warnings.push('no text was read in its pictures');
  const segments = [...looked.segments, ...spoken].sort((a, b) => a.time![0] - b.time![0]);
  if (segments.length === 0 && !sees) throw unreadable(path, 'has no speech in it that the speech model would make out');
  return {
    source: {
      path,
      kind: recording.video ? 'video' : 'audio',
      bytes: input.bytes ?? (await stat(file)).size,
      sha256,
      ...(recording.seconds === null ? {} : { seconds: recording.seconds }),
      ...(looked.counts ? { frames: looked.counts } : {}),
    },
    segments,
    warnings,
  };
}

/** Messages name what the user named, also where the bytes lie elsewhere. */
async function openForPeople(path: string, file: string, signal: AbortSignal | undefined): Promise<Recording> {
  try {
    return await openRecording(file, signal);
  } catch (error) {
    if (path === file || !(error instanceof LodestoneError)) throw error;
    throw new LodestoneError(error.exitCode, error.message.replaceAll(file, sourceName(path)), { cause: error });
  }
}

function refuseBlindAndDeaf(path: string, { audio, video }: Recording, speech: Transcriber | string | null, vision: MediaOptions['vision']): void {
  if ((audio && typeof speech !== 'string') || (video && typeof vision !== 'string')) return;
  if (!audio && !video) throw unreadable(path, 'has neither sound nor pictures');
  if (!audio) throw unreadable(path, `is a video without sound, and its pictures are not looked at: ${vision as string}`);
  throw unreadable(path, video ? `is a video: ${speech as string}; and its pictures are not looked at: ${vision as string}` : `is a sound recording: ${speech as string}`);
}

async function hear(transcriber: Transcriber, recording: Recording, sha256: string, index: number, decoding: DecodeOptions, onHeard: (seconds: number) => void): Promise<Segment[]> {
  const pieces: SpeechSegment[] = [];
  for await (const window of listen(transcriber, recording, sha256, decoding)) {
    pieces.push(...window.segments);
    onHeard(window.heard);
  }
  return speechSegments(index, pieces);
}

function lookOrRead(vision: VideoVision | VideoReading, recording: Recording, sha256: string, index: number, decoding: DecodeOptions, onLooked: (seconds: number) => void): Promise<Looked> {
  return 'reader' in vision ? readPictures(vision, recording, sha256, index, decoding, onLooked) : look(vision, recording, index, decoding, onLooked);
}

async function look(vision: VideoVision, recording: Recording, index: number, decoding: DecodeOptions, onLooked: (seconds: number) => void): Promise<Looked> {
  const { fps, frames, imageSize, whole, most } = vision;
  const prepare = (image: Raster): Raster => {
    if (pictures.count >= most) return { width: image.width, height: image.height, data: new Uint8Array(0) };
    // The first step of what the model's processor does, done early: the square is smaller.
    return whole ? image : resize(image, imageSize, imageSize);
  };
  const pictures = new Pictures(frames, 1 / fps, prepare);
  for await (const frame of recording.decoder.frames(recording.path, { ...decoding, fps, mostPixels: 2 * imageSize })) {
    pictures.add(frame);
    onLooked(frame.time);
  }
  const { frames: shown, counts } = pictures.finish();
  return { segments: shown.map(({ picture, time }) => ({ source: index, text: '', image: picture, time })), counts };
}

type RecordingUnit = Extract<IngestProgress['unit'], `seconds${string}`>;

/** Progress with the time that the rest will take, as fast as it went since the first report. */
function progressOf(path: string, unit: RecordingUnit, from: number, end: number, onProgress: ((progress: IngestProgress) => void) | undefined): (done: number) => void {
  const started = performance.now();
  let first: number | undefined;
  return (done) => {
    first ??= done;
    const rate = (done - first) / Math.max(1, performance.now() - started);
    const known = end < Infinity;
    const eta = known && rate > 0 ? { eta_seconds: Math.max(0, end - done) / rate / 1000 } : {};
    onProgress?.({ path, unit, done: done - from, total: (known ? Math.max(end, done) : done) - from, ...eta });
  };
}
