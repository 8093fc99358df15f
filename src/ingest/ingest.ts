/**
 * Files and standard input to segments: the first room of the house. Whatever can't be read wholly is an error that
 * names the source; nothing is left out silently.
 */
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { detect } from './detect.js';
import { decodeImage } from './image.js';
import { defaultLimits, formatBytes, type IngestLimits } from './limits.js';
import { sourceName, unreadable } from './name.js';
import type { PageRange } from './pages.js';
import { mediaHeadBytes, mediaKind, isPlaylist } from './media/kind.js';
import type { MediaOptions, RecordingInput } from './media/recording.js';
import { withSpooled } from './media/spool.js';
import type { PdfText } from './pdf.js';
import type { PageImages } from './pdf-protocol.js';
import { type InputBytes, readFileOnce, readHead, type ReadOptions } from './read.js';
import type { IngestedSource, IngestProgress, Raster, Source } from './segment.js';
import { readStdin } from './stdin.js';
import { decodeText, segmentText } from './text.js';

/** Enough for print of a usual size, whole and in two crops. */
const defaultPageImages: PageImages = { which: 'textless', edge: 1792 };

/** Gives what was made for the key before, or makes it. A key is plain data that says all the result depends on. */
export type Remember = <T>(key: readonly unknown[], make: () => Promise<T>) => Promise<T>;

export interface IngestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: IngestProgress) => void) | undefined;
  /** Pages to read of each PDF (`parsePageRanges`); all by default. Other sources have no pages and are read whole. */
  readonly pages?: readonly PageRange[] | undefined;
  /** For encrypted PDFs. */
  readonly password?: string | undefined;
  readonly limits?: Partial<IngestLimits> | undefined;
  /** For what takes long. Never used for what a password protects. Default: everything is made anew. */
  readonly remember?: Remember | undefined;
  /** true: images are decoded, and pages of PDFs drawn. Otherwise why they are refused, and what to do; by default because the model reads text. */
  readonly images?: true | string | undefined;
  /** Reads what is written in an image, where `images` is not true: the lines of it. */
  readonly readImage?: ((image: Raster) => Promise<readonly string[]>) | undefined;
  /** Which pages of PDFs are drawn, where `images` is true. Default: those without a text layer. */
  readonly pageImages?: PageImages | undefined;
  /** How recordings are heard and seen; by default they are refused. */
  readonly media?: MediaOptions | undefined;
}

/**
 * Reads the sources, one after another; "-" is standard input. `segment.source` is the index into `paths`, and a
 * source that is named twice is read once.
 * @throws LodestoneError: unreadableInput, with one line that names the source and says what to do; usage where the
 *   chosen pages aren't there. What `abortError` says, once the signal fires.
 */
export async function ingest(paths: readonly string[], options: IngestOptions = {}): Promise<IngestedSource[]> {
  const results: IngestedSource[] = [];
  const first = new Map<string, number>();
  for (const [index, path] of paths.entries()) {
    const known = results[first.get(path) ?? -1];
    if (known) {
      results.push({ ...known, segments: known.segments.map((segment) => ({ ...segment, source: index })) });
      continue;
    }
    if (options.signal?.aborted) {
      throw abortError(options.signal);
    }
    first.set(path, index);
    results.push(await ingestOne(path, index, options));
  }
  const timed = results.some(({ source }) => source.kind === 'audio' || source.kind === 'video');
  if (options.media?.ranged === true && !timed) {
    throw new LodestoneError(ExitCode.usage, `--from and --to choose a part of a recording, and ${paths.map(sourceName).join(', ')} is none`);
  }
  const asked = options.pages !== undefined ? '--pages chooses' : options.pageImages?.which === 'all' ? '--pages-as-images shows' : null;
  if (asked !== null && results.length > 0 && results.every(({ source }) => source.kind !== 'pdf')) {
    throw new LodestoneError(ExitCode.usage, `${asked} pages of a PDF, and ${paths.map(sourceName).join(', ')} has none`);
  }
  return results;
}

async function ingestOne(path: string, index: number, options: IngestOptions): Promise<IngestedSource> {
  const limits = { ...defaultLimits, ...options.limits };
  const { signal, onProgress } = options;
  const reading: ReadOptions = {
    limit: limits.fileBytes,
    signal,
    onBytes: (done, total) => onProgress?.({ path, unit: 'bytes', done, total }),
  };
  if (path === '-') {
    const input = await readStdin(reading);
    if (!(await isRecording(path, input.bytes.subarray(0, mediaHeadBytes)))) return ingestBytes(input, index, limits, options);
    // A recording is decoded from a file: many a format has its index at the end.
    return withSpooled(input.bytes, (file) => ingestRecording({ path, file, index, sha256: input.sha256, bytes: input.bytes.length }, limits, options));
  }
  if (await isRecording(path, await readHead(path, mediaHeadBytes))) return ingestRecording({ path, file: path, index }, limits, options);
  return ingestBytes(await readFileOnce(path, reading), index, limits, options);
}

/** What hears and sees is loaded only for recordings. */
async function ingestRecording(input: RecordingInput, limits: IngestLimits, options: IngestOptions): Promise<IngestedSource> {
  const recording = await import('./media/recording.js');
  return recording.ingestRecording(input, limits, options);
}

/** Throws where it is a playlist: what it would play is somewhere else. */
async function isRecording(path: string, head: Uint8Array): Promise<boolean> {
  if (isPlaylist(head)) throw unreadable(path, 'is a playlist, which points at other files; name those');
  return (await mediaKind(head)) !== null;
}

/** The part after reading: what the bytes are, and their segments. `input.bytes` can't be used afterwards. */
export async function ingestBytes(input: InputBytes, index: number, limits: IngestLimits, options: IngestOptions = {}): Promise<IngestedSource> {
  const { path, bytes, sha256 } = input;
  const { signal, onProgress, images = 'and only text is read here' } = options;
  const detected = await detect(path, bytes);
  const source: Source = { path, kind: detected.kind, bytes: bytes.length, sha256 };
  if (detected.kind === 'pdf') {
    const drawn = images === true ? (options.pageImages ?? defaultPageImages) : images;
    const read = async (): Promise<PdfText> => {
      // Not loaded where the text is remembered.
      const { readPdf } = await import('./pdf.js');
      return readPdf(path, index, bytes, {
        limits,
        ranges: options.pages,
        password: options.password,
        signal,
        images: drawn,
        onPage: (done, total) => onProgress?.({ path, unit: 'pages', done, total }),
      });
    };
    const { remember, password } = options;
    // Pixels are not kept: they are many, and drawn again in less time than they are looked at.
    const pdf = await (remember && password === undefined && typeof drawn === 'string' ? remember(['pdf', sha256, options.pages ?? null, limits], read) : read());
    return { source: { ...source, pages: pdf.pages }, segments: pdf.segments.map((segment) => ({ ...segment, source: index })), warnings: pdf.warnings };
  }
  if (detected.kind === 'image') {
    const format = detected.format!;
    const { readImage } = options;
    if (images !== true && !readImage) throw unreadable(path, `is a ${format} image, ${images}`);
    const image = await decodeImage(path, bytes, format, limits);
    if (images === true) return { source, segments: [{ source: index, text: '', image }], warnings: [] };
    const lines = await readImage!(image);
    const text = lines.map((line) => `${line}\n`).join('');
    return { source, segments: text === '' ? [] : [{ source: index, text, fromPicture: true }], warnings: text === '' ? ['no text was read in it'] : [] };
  }
  if (bytes.length > limits.textBytes) {
    throw unreadable(path, `is text of more than ${formatBytes(limits.textBytes)}, the most that is read from one source; split it`);
  }
  const { text, warnings } = decodeText(bytes, detected.encoding ?? 'utf-8');
  const whole = options.pages === undefined ? [] : ['it has no pages, so it is read whole whatever --pages says'];
  return { source, segments: segmentText(path, index, text), warnings: [...warnings, ...whole] };
}
