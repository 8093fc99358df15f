/**
 * A film's pictures to the text that is written in them. A picture is read when it comes, and only its text is kept, in memory
 * and on disk: an hour of pictures is gigabytes, and reading them takes minutes, so an interrupted run goes on where it was.
 */
import type { FrameCounts, Segment, Times } from '../segment.js';
import type { PictureReader } from '../../see/picture-reader.js';
import { codeVersion } from '../../sessions/code-version.js';
import { Journal, journalName } from './journal.js';
import type { DecodeOptions } from './media.js';
import type { Recording } from './open.js';
import { Pictures, type FrameChoice } from './pictures.js';

export interface VideoReading {
  readonly fps: number;
  readonly frames: FrameChoice;
  readonly reader: Pick<PictureReader, 'config' | 'read' | 'hash'>;
  /** Folder for what has been read; null: it is not kept. */
  readonly keep: string | null;
}

export interface Looked {
  readonly segments: Segment[];
  readonly counts: FrameCounts;
}

/** What one picture says; in the journal, as it is read. */
interface ReadFrame {
  readonly at: number;
  readonly lines: readonly string[];
}

/** The journal's last entry: everything. */
interface ReadFilm {
  readonly texts: readonly { readonly text: string; readonly time: Times }[];
  readonly counts: FrameCounts;
}

/** Where the code is another, the same picture may give another text. */
const version = codeVersion(['see', 'gemma', 'ingest/media']);

/**
 * A segment for each text that is to be seen, as long as it is to be seen without a change.
 * @param sha256 of the recording
 * Errors: those of the decoder and of the reader; the signal's reason.
 */
export async function readPictures(reading: VideoReading, recording: Recording, sha256: string, index: number, decoding: DecodeOptions, onRead: (seconds: number) => void): Promise<Looked> {
  const { fps, frames: choice, reader, keep } = reading;
  const { range, signal } = decoding;
  const journal = await Journal.open(keep, journalName(version, sha256, await reader.hash(signal), fps, choice, range.from, range.to));
  const known = new Map<number, readonly string[]>();
  for (const entry of journal.entries as (ReadFrame | ReadFilm)[]) {
    if ('counts' in entry) return segmentsOf(entry, index);
    known.set(entry.at, entry.lines);
  }
  const pictures = new Pictures<number>(choice, 1 / fps, () => texts.length);
  const texts: string[] = [];
  for await (const { time, image } of recording.decoder.frames(recording.path, { ...decoding, fps, mostPixels: 2 * reader.config.vision.imageSize })) {
    pictures.add({ time, image });
    if (pictures.count > texts.length) {
      const before = known.get(time);
      const lines = before ?? (await reader.read(image, signal));
      if (!before) await journal.append({ at: time, lines } satisfies ReadFrame);
      texts.push(lines.join(' '));
    }
    onRead(time);
  }
  const { frames, counts } = pictures.finish();
  const film: ReadFilm = { texts: joined(frames.map(({ picture, time }) => ({ text: texts[picture]!, time }))), counts };
  await journal.append(film);
  return segmentsOf(film, index);
}

/** Texts without those that are empty; the same one in pictures that follow each other is one. */
function joined(read: ReadFilm['texts']): ReadFilm['texts'] {
  const found: { text: string; time: Times }[] = [];
  for (const { text, time } of read) {
    const last = found.at(-1);
    if (last?.text === text && last.time[1] >= time[0]) last.time = [last.time[0], time[1]];
    else if (text !== '') found.push({ text, time });
  }
  return found;
}

function segmentsOf({ texts, counts }: ReadFilm, index: number): Looked {
  return { segments: texts.map(({ text, time }) => ({ source: index, text: `${text}\n`, time, fromPicture: true })), counts };
}
