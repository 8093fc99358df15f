/**
 * The unit of provenance. Everything after ingest carries segments along, so that a citation is a look-up.
 *
 * One segment for an image, with no text; one for each page of a PDF that has text or is shown as an image; consecutive
 * lines, about 1500 characters of them, of a text. A
 * source's segments in order, concatenated with nothing between, are its text: lines end with "\n", each page ends with
 * one, and in a text the line of any character is `line` plus the line ends before it in the segment.
 */
export interface Segment {
  /** Index into the list of sources. */
  readonly source: number;
  readonly text: string;
  /** What the model is shown instead of the text. Of a PDF page that has both, the text is where quotes are looked up. */
  readonly image?: Raster;
  /** 1-based PDF page, where the source has pages. */
  readonly page?: number;
  /** 1-based line number of the segment's first line, where the source has lines. */
  readonly line?: number;
}

/** RGB, 8 bits a channel: [height][width][3]. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

export type SourceKind = 'text' | 'markdown' | 'pdf' | 'image';

export interface Source {
  /** As the user named it; "-" for standard input. */
  readonly path: string;
  readonly kind: SourceKind;
  readonly bytes: number;
  /** Hex, of the bytes read. */
  readonly sha256: string;
  readonly pages?: number;
}

export interface IngestedSource {
  readonly source: Source;
  readonly segments: readonly Segment[];
  /** For people, to stand after the source's name and a colon: "pages 3, 7 have no text". */
  readonly warnings: readonly string[];
}

export interface IngestProgress {
  readonly path: string;
  /** Pages or bytes. */
  readonly unit: 'pages' | 'bytes';
  readonly done: number;
  readonly total: number;
}
