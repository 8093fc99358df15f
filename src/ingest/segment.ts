/**
 * The unit of provenance. Everything after ingest carries segments along, so that a citation is a look-up.
 *
 * One segment for an image, with no text; one for each page of a PDF that has text or is shown as an image; consecutive
 * lines, about 1500 characters of them, of a text; about a sentence of speech; a picture of a video, with no text. A
 * source's segments in order, concatenated with nothing between, are its text: lines end with "\n", each page ends with
 * one, and in a text the line of any character is `line` plus the line ends before it in the segment.
 */
export interface Segment {
  /** Index into the list of sources. */
  readonly source: number;
  readonly text: string;
  /** What the model is shown instead of the text. Of a PDF page that has both, the text is where quotes are looked up. */
  readonly image?: Raster;
  /** The text was read in a picture, by a model that may misread it. */
  readonly fromPicture?: true;
  /** 1-based PDF page, where the source has pages. */
  readonly page?: number;
  /** 1-based line number of the segment's first line, where the source has lines. */
  readonly line?: number;
  /** Seconds, where the source has time: of speech, when it was said; of a picture, as long as nothing else is to be seen. */
  readonly time?: Times;
  /** Of speech: when each word was said. */
  readonly words?: readonly TimedWord[];
}

/** From and to, in seconds. */
export type Times = readonly [number, number];

export interface TimedWord {
  /** Where it begins in the segment's text. */
  readonly at: number;
  readonly time: Times;
}

/** When [from, to) of a segment's text was said: that of its words, or of the segment; undefined where it has no time. */
export function timeOf({ time, words = [] }: Pick<Segment, 'time' | 'words'>, from: number, to: number): Times | undefined {
  // The word that `from` lies in, to the last that begins before `to`.
  const first = words.findLast((word) => word.at <= from) ?? words[0];
  const last = words.findLast((word) => word.at < to) ?? first;
  return first && last ? [first.time[0], Math.max(first.time[1], last.time[1])] : time;
}

/** RGB, 8 bits a channel: [height][width][3]. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export type SourceKind = 'text' | 'markdown' | 'pdf' | 'image' | 'audio' | 'video';

export interface Source {
  /** As the user named it; "-" for standard input. */
  readonly path: string;
  readonly kind: SourceKind;
  readonly bytes: number;
  /** Hex, of the bytes read. */
  readonly sha256: string;
  readonly pages?: number;
  /** Of a recording; absent where it does not say. */
  readonly seconds?: number;
  /** Of a video whose pictures are looked at. */
  readonly frames?: FrameCounts;
}

export interface FrameCounts {
  /** Looked at: each is a segment. */
  readonly shown: number;
  /** Left out because nothing had changed; the picture before stands for them. */
  readonly repeated: number;
  /** Left out because only one picture of a scene was wanted. */
  readonly skipped: number;
  readonly scenes: number;
}

export interface IngestedSource {
  readonly source: Source;
  readonly segments: readonly Segment[];
  /** For people, to stand after the source's name and a colon: "pages 3, 7 have no text". */
  readonly warnings: readonly string[];
}

export interface IngestProgress {
  readonly path: string;
  readonly unit: 'pages' | 'bytes' | 'seconds of sound' | 'seconds of pictures';
  readonly done: number;
  /** `done`, where a recording does not say how long it is. */
  readonly total: number;
  /** Of a recording: seconds that the rest will take. */
  readonly eta_seconds?: number;
}
