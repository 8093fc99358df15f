/**
 * Bounds that keep a hostile or broken file from taking the machine. Passing one is an error, never a cut: what
 * Lodestone answers from is always the whole input, or the pages the user chose by name.
 */
export interface IngestLimits {
  /** Bytes of one file, or of standard input. */
  readonly fileBytes: number;
  /** Bytes of one text or Markdown file: above this, V8 can't hold it as one string with room to work. */
  readonly textBytes: number;
  /** Pixels of one image, also of one in a PDF whose page is drawn. */
  readonly imagePixels: number;
  /** Pixels of all page images of one PDF, three bytes each: they are held until the model has seen them. */
  readonly pagePixels: number;
  /** Pages that one PDF may declare. */
  readonly pages: number;
  /** UTF-16 code units of text on one PDF page. */
  readonly pageChars: number;
  /** UTF-16 code units of text in one PDF. */
  readonly documentChars: number;
  /** Milliseconds for one image, or for one PDF, to which `pageMs / 100` is added for each page (`pageMs / 30` where they are drawn): a manual of 5,000 pages is no bomb. */
  readonly documentMs: number;
  /** Milliseconds without a finished page after which a PDF is given up. */
  readonly pageMs: number;
  /** Milliseconds without anything decoded after which a recording is given up. */
  readonly mediaStallMs: number;
  /** MiB of JavaScript heap for the PDF worker. */
  readonly heapMiB: number;
  /** Bytes by which this process may grow while a PDF is parsed (typed arrays lie outside the heap). */
  readonly growthBytes: number;
}

const MiB = 1024 * 1024;

export const defaultLimits: IngestLimits = {
  fileBytes: 1024 * MiB,
  textBytes: 256 * MiB,
  imagePixels: 100_000_000,
  pagePixels: 500_000_000,
  pages: 100_000,
  pageChars: 4 * MiB,
  documentChars: 64 * MiB,
  documentMs: 120_000,
  pageMs: 30_000,
  mediaStallMs: 60_000,
  heapMiB: 1024,
  growthBytes: 2048 * MiB,
};

/** 1073741824 -> "1 GiB", 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${units[unit]}`;
}
