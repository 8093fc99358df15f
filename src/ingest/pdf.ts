import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { formatBytes, type IngestLimits } from './limits.js';
import { sourceName, unreadable } from './name.js';
import { describePages, type PageRange } from './pages.js';
import type { PageImages, PdfFailure, PdfJob, PdfMessage } from './pdf-protocol.js';
import { processGrowth } from './process-memory.js';
import type { Segment } from './segment.js';

export interface PdfOptions {
  readonly limits: IngestLimits;
  readonly ranges?: readonly PageRange[] | undefined;
  readonly password?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What is drawn, for a model that sees; or why nothing is, and what to do, to go after "its pages are images, ". */
  readonly images: PageImages | string;
  readonly onPage?: ((done: number, total: number) => void) | undefined;
}

export interface PdfText {
  /** Pages of the whole document. */
  readonly pages: number;
  /** One for each page that has text or an image, in order. */
  readonly segments: readonly Segment[];
  readonly warnings: readonly string[];
}

/** How often the parser's memory is looked at, in milliseconds. */
const watchMs = 200;

/**
 * Reads a PDF's text, and draws its pages, in a thread of its own. `bytes` are handed to that thread and can't be used afterwards.
 * @throws LodestoneError: unreadableInput where the file is damaged, encrypted, without text or beyond a limit; usage
 *   where pages were chosen that it hasn't. What `abortError` says, once the signal fires.
 */
export async function readPdf(path: string, source: number, bytes: Uint8Array<ArrayBuffer>, options: PdfOptions): Promise<PdfText> {
  const { limits, signal, images } = options;
  if (signal?.aborted) {
    throw abortError(signal);
  }
  const job: PdfJob = {
    bytes,
    limits: {
      pages: limits.pages,
      pageChars: limits.pageChars,
      documentChars: limits.documentChars,
      imagePixels: limits.imagePixels,
      pagePixels: limits.pagePixels,
    },
    ...(typeof images === 'string' ? {} : { images }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.ranges === undefined ? {} : { ranges: options.ranges }),
  };
  const growth = processGrowth();
  const worker = new Worker(workerFile(), {
    workerData: job,
    transferList: [bytes.buffer],
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMiB },
    // Neither the flags of this process (a test runner's loaders) nor the parser's chatter belong to each other.
    execArgv: [],
    stdout: true,
    stderr: true,
  });
  worker.stdout.resume();
  worker.stderr.resume();

  const segments: Segment[] = [];
  const empty: number[] = [];
  const damaged: number[] = [];
  const shown: number[] = [];
  let imageBytes = 0;
  let total = 0;
  let chosen = 0;
  let timers: NodeJS.Timeout[] = [];
  let stop: (() => void) | undefined;
  const started = performance.now();
  let pageStarted = started;

  try {
    const repaired = await new Promise<boolean>((resolve, reject) => {
      stop = () => reject(abortError(signal!));
      signal?.addEventListener('abort', stop, { once: true });
      timers = [
        setInterval(() => {
          const now = performance.now();
          const page = segments.length + empty.length + 1;
          if (now - pageStarted > limits.pageMs) {
            const where = chosen > 0 ? `${ordinalPage(page, options.ranges)} took` : 'opening it took';
            reject(unreadable(path, `was given up: ${where} longer than ${seconds(limits.pageMs)}; it may be made to exhaust its reader (if you trust it, raise --pdf-timeout)`));
          } else if (now - started > limits.documentMs + (chosen * limits.pageMs) / (shown.length > 0 ? 30 : 100)) {
            const where = chosen > 0 ? `at page ${page} of ${chosen}` : 'before it was opened';
            reject(unreadable(path, `was given up after ${seconds(now - started)} ${where}; raise --pdf-timeout${chosen > 1 ? ' or choose fewer pages with --pages' : ''}`));
          } else if (growth() - imageBytes > limits.growthBytes) {
            reject(unreadable(path, `was given up: parsing it took more than ${formatBytes(limits.growthBytes)} of memory; the PDF is damaged or made to exhaust its reader`));
          }
        }, Math.min(watchMs, limits.pageMs, limits.documentMs)),
      ];
      worker.on('message', (message: PdfMessage) => {
        pageStarted = performance.now();
        if (message.type === 'opened') {
          ({ total, chosen } = message);
        } else if (message.type === 'page') {
          const { page, image } = message;
          if (message.text === '' && !image) {
            empty.push(page);
          } else {
            segments.push({ source, text: message.text === '' ? '' : `${message.text}\n`, page, ...(image ? { image } : {}) });
          }
          if (image) {
            shown.push(page);
            imageBytes += image.data.length;
          }
          if (message.damage) {
            damaged.push(message.page);
          }
          options.onPage?.(segments.length + empty.length, chosen);
        } else if (message.type === 'done') {
          resolve(message.repaired);
        } else {
          reject(explain(path, message.failure));
        }
      });
      worker.on('error', (error) => reject(explainCrash(path, error, limits)));
      worker.on('exit', (code) => reject(new Error(`the PDF worker ended with code ${code} before it was done`)));
    });
    if (segments.length === 0) {
      const where = options.ranges === undefined ? '' : ' on the pages chosen';
      throw unreadable(
        path,
        repaired || damaged.length > 0
          ? `is damaged, and no text was found in it${where}`
          : typeof images === 'string'
            ? `has no text layer${where}: its pages are images or blank, ${images}`
            : `has nothing on it${where}: every page is blank`,
      );
    }
    return { pages: total, segments, warnings: describeLosses({ empty, damaged, shown, repaired }, images) };
  } finally {
    timers.forEach((timer) => clearInterval(timer));
    if (stop) {
      signal?.removeEventListener('abort', stop);
    }
    await worker.terminate();
  }
}

/** Beside this module once compiled; run from the sources (tests), the compiled one is the only one Node can load. */
export function workerFile(here: string = import.meta.url): URL {
  const url = new URL(here.endsWith('.ts') ? '../../dist/ingest/pdf-worker.js' : './pdf-worker.js', here);
  if (!existsSync(url)) {
    throw new Error(`${fileURLToPath(url)}, which reads PDFs, is missing: run npm run build`);
  }
  return url;
}

function ordinalPage(nth: number, ranges: readonly PageRange[] | undefined): string {
  return ranges === undefined ? `page ${nth}` : `the ${nth}. of the pages chosen`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 1000)} s`;
}

function pagesThat(pages: readonly number[], one: string, many: string): string {
  return pages.length === 1 ? `page ${pages[0]} ${one}` : `pages ${describePages(pages)} ${many}`;
}

interface Oddities {
  /** Pages without text and without an image. */
  readonly empty: readonly number[];
  readonly damaged: readonly number[];
  /** Pages that are shown as images. */
  readonly shown: readonly number[];
  readonly repaired: boolean;
}

function describeLosses({ empty, damaged, shown, repaired }: Oddities, images: PageImages | string): string[] {
  const warnings: string[] = [];
  if (repaired) {
    warnings.push('the PDF is damaged and was repaired; some of it may be missing');
  }
  if (damaged.length > 0) {
    warnings.push(`${pagesThat(damaged, 'is', 'are')} damaged; some of what is there may be missing`);
  }
  if (empty.length > 0) {
    const drawn = typeof images !== 'string';
    warnings.push(drawn ? pagesThat(empty, 'is blank', 'are blank') : `${pagesThat(empty, 'has', 'have')} no text (blank, or an image, which this model can't see)`);
  }
  if (shown.length > 0 && typeof images !== 'string' && images.which === 'textless') {
    warnings.push(`${pagesThat(shown, 'has', 'have')} no text layer and ${shown.length === 1 ? 'is' : 'are'} shown to the model as ${shown.length === 1 ? 'an image' : 'images'}`);
  }
  return warnings;
}

/** What an error that the worker itself did not catch says about the PDF; nothing where the worker could not start. */
function explainCrash(path: string, error: Error, limits: IngestLimits): Error {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const what = `was given up: parsing it took more than ${limits.heapMiB} MiB of heap; the PDF is damaged or made to exhaust its reader`;
    return unreadable(path, what, { cause: error });
  }
  if (code.endsWith('MODULE_NOT_FOUND')) {
    return error;
  }
  return unreadable(path, `could not be parsed (${error.message.replace(/\n.*/s, '').slice(0, 200)})`, { cause: error });
}

function explain(path: string, failure: PdfFailure): LodestoneError {
  switch (failure.reason) {
    case 'password-needed':
      return unreadable(path, 'is encrypted; give its password with --password');
    case 'password-wrong':
      return unreadable(path, 'is encrypted and the password is not the right one');
    case 'no-pages':
      return unreadable(path, 'is a PDF without pages');
    case 'too-many-pages':
      return unreadable(path, `claims to have ${failure.total} pages, more than are read from one PDF`);
    case 'no-canvas':
      return unreadable(path, "has pages to be shown as images, which can't be drawn here: the package @napi-rs/canvas, or the part of it for this machine, is not installed (npm install --include=optional)");
    case 'picture-too-large':
      return unreadable(path, `shows a picture on page ${failure.page} with more pixels than are read from one; leave that page out with --pages`);
    case 'too-many-images':
      return unreadable(path, `has more pages to be shown as images than are held at once (${failure.drawn}, up to page ${failure.page - 1}); choose fewer with --pages`);
    case 'page-too-long':
      return unreadable(path, `holds more text on page ${failure.page} than a page can; leave that page out with --pages`);
    case 'document-too-long':
      return unreadable(path, `holds more text than is read from one PDF (reached on page ${failure.page}); choose fewer pages with --pages`);
    case 'beyond-last-page':
      return new LodestoneError(
        ExitCode.usage,
        `${sourceName(path)} has ${failure.total} ${failure.total === 1 ? 'page' : 'pages'}; --pages asks for page ${failure.asked}`,
      );
    case 'damaged': {
      const detail = failure.detail.replace(/\.$/, '');
      return failure.page === undefined
        ? unreadable(path, `is no PDF that can be read: truncated or damaged (${detail})`)
        : unreadable(path, `is damaged on page ${failure.page} (${detail}); leave that page out with --pages`);
    }
    default:
      return failure satisfies never;
  }
}
