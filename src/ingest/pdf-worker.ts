/**
 * The thread that parses a PDF. Parsing computes for seconds and may be made to compute for ever, so it has a thread
 * of its own, which `pdf.ts` watches and ends. Sends page after page, drawn where the job says so; stops at the first failure.
 */
import { dirname, join, sep } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { choosePages } from './pages.js';
import { canDraw, drawPage, installDrawingGlobals, paintsImage, requireOfParser, type DrawablePage } from './pdf-draw.js';
import { layOutPage, type TextPiece } from './pdf-layout.js';
import type { PageImages, PdfFailure, PdfJob, PdfMessage } from './pdf-protocol.js';
import type { Raster } from './segment.js';

/** The part of pdf.js's document that is used here; pdf-parse has it, but its own `getText` gives no positions. */
interface PdfDocument {
  readonly numPages: number;
  getPage(page: number): Promise<PdfPage>;
}

interface PdfPage extends DrawablePage {
  getViewport(options: { scale: number }): { readonly transform: readonly number[]; readonly width: number; readonly height: number };
  streamTextContent(options: { includeMarkedContent: boolean }): ReadableStream<{ readonly items: readonly TextItem[] }>;
  cleanup(): void;
}

interface TextItem {
  readonly str: string;
  readonly dir: string;
  /** Text space to page space: [a, b, c, d, e, f]. */
  readonly transform: readonly number[];
  readonly width: number;
}

/** Characters, white space not counted, up to which a page with an image on it is a scan: a stamped page number is no text layer. */
const fewCharacters = 20;

class Failure extends Error {
  constructor(readonly failure: PdfFailure) {
    super(failure.reason);
  }
}

/** pdf.js says what it repaired or skipped only in warnings, which go to the console. */
const heard = { repaired: false, damage: false, pictureLeftOut: false };
const hear = (...words: unknown[]) => {
  const warning = words.join(' ');
  heard.repaired ||= warning.includes('Indexing all PDF objects');
  heard.pictureLeftOut ||= warning.includes('exceeded maximum allowed size');
  heard.damage ||= /(getTextContent|getOperatorList) - ignoring|Unable to decode image|Unexpected end of|Bad block|Invalid stream|bad XRef|flate|Page dictionary/i.test(warning);
};
console.log = hear;
console.warn = hear;

installDrawingGlobals();

// oxlint-disable-next-line require-post-message-target-origin -- a thread's port, not a window
const send = (message: PdfMessage, give: readonly ArrayBuffer[] = []) => parentPort!.postMessage(message, give);

try {
  await parse(workerData as PdfJob);
} catch (error) {
  send({ type: 'failed', failure: toFailure(error) });
}

async function parse(job: PdfJob): Promise<void> {
  const document = await openDocument(job);
  const total = document.numPages;
  if (total < 1) {
    throw new Failure({ reason: 'no-pages' });
  }
  if (total > job.limits.pages) {
    throw new Failure({ reason: 'too-many-pages', total });
  }
  const { pages, beyond } = choosePages(total, job.ranges);
  if (beyond !== undefined) {
    throw new Failure({ reason: 'beyond-last-page', asked: beyond, total });
  }
  send({ type: 'opened', total, chosen: pages.length });
  let chars = 0;
  let drawn = 0;
  let pixels = 0;
  for (const number of pages) {
    heard.damage = false;
    const { text, image } = await readPage(document, number, job).catch((error: unknown) => {
      const failure = toFailure(error);
      throw new Failure(failure.reason === 'damaged' ? { ...failure, page: number } : failure);
    });
    chars += text.length;
    if (chars > job.limits.documentChars) {
      throw new Failure({ reason: 'document-too-long', page: number });
    }
    if (image === null) {
      send({ type: 'page', page: number, text, damage: heard.damage });
      continue;
    }
    pixels += image.width * image.height;
    if (pixels > job.limits.pagePixels) {
      throw new Failure({ reason: 'too-many-images', page: number, drawn });
    }
    drawn++;
    send({ type: 'page', page: number, text, image, damage: heard.damage }, [image.data.buffer as ArrayBuffer]);
  }
  send({ type: 'done', repaired: heard.repaired });
}

async function openDocument(job: PdfJob): Promise<PdfDocument> {
  const { PDFParse } = await import('pdf-parse');
  // The data of pdf.js, from the very version that pdf-parse brings. In Node these must be plain paths that end in a
  // separator: a file: URL is ignored without a word.
  const pdfjs = dirname(requireOfParser.resolve('pdfjs-dist/package.json'));
  const parser = new PDFParse({
    data: job.bytes,
    ...(job.password === undefined ? {} : { password: job.password }),
    verbosity: 1,
    standardFontDataUrl: join(pdfjs, 'standard_fonts') + sep,
    cMapUrl: join(pdfjs, 'cmaps') + sep,
    cMapPacked: true,
    wasmUrl: join(pdfjs, 'wasm') + sep,
    isEvalSupported: false,
    disableFontFace: true,
    useSystemFonts: false,
    enableXfa: false,
    maxImageSize: job.limits.imagePixels,
    stopAtErrors: false,
  });
  // Private by its types only, and the same since 2.0; the version is pinned, and the tests would tell.
  return (await parser['load']()) as PdfDocument;
}

/** Its text, and, where it is to be seen, its image. */
async function readPage(document: PdfDocument, number: number, { images, limits }: PdfJob): Promise<{ text: string; image: Raster | null }> {
  heard.pictureLeftOut = false;
  const page = await document.getPage(number);
  const text = await readText(page, number, limits.pageChars);
  const image = images && (await isToBeSeen(page, text, images)) ? await draw(page, number, images.edge) : null;
  page.cleanup();
  return { text, image };
}

async function isToBeSeen(page: PdfPage, text: string, { which }: PageImages): Promise<boolean> {
  if (which === 'all' || text === '') return true;
  return text.replaceAll(/\s/g, '').length < fewCharacters && (await paintsImage(page));
}

async function draw(page: PdfPage, number: number, edge: number): Promise<Raster | null> {
  if (!canDraw) throw new Failure({ reason: 'no-canvas' });
  const image = await drawPage(page, edge);
  if (heard.pictureLeftOut) throw new Failure({ reason: 'picture-too-large', page: number });
  return image;
}

async function readText(page: PdfPage, number: number, mostChars: number): Promise<string> {
  const { transform } = page.getViewport({ scale: 1 });
  const pieces: TextPiece[] = [];
  let chars = 0;
  let items = 0;
  let spaced = false;
  const reader = page.streamTextContent({ includeMarkedContent: false }).getReader();
  while (true) {
    const { value, done } = await reader.read();
    if (done) {
      break;
    }
    for (const item of value.items) {
      const text = cleanText(item.str);
      chars += text.length;
      items++;
      if (text.trim() === '') {
        spaced ||= text !== '';
        continue;
      }
      pieces.push(toPiece(item, text, transform, spaced));
      spaced = /\s$/.test(text);
    }
    if (chars > mostChars || items > mostChars) {
      throw new Failure({ reason: 'page-too-long', page: number });
    }
  }
  return layOutPage(pieces);
}

function toPiece(item: TextItem, text: string, view: readonly number[], spaced: boolean): TextPiece {
  const [a = 1, b = 0, c = 0, d = 1, e = 0, f = 0] = item.transform;
  const [va = 1, vb = 0, vc = 0, vd = 1, ve = 0, vf = 0] = view;
  const size = Math.hypot(va * c + vc * d, vb * c + vd * d);
  const angle = (Math.atan2(vb * a + vd * b, va * a + vc * b) * 180) / Math.PI;
  return {
    text: text.trim(),
    x: finite(va * e + vc * f + ve),
    y: finite(vb * e + vd * f + vf),
    width: Math.max(0, finite(item.width * Math.hypot(va, vb))),
    size: Math.max(0.1, finite(size)),
    angle: finite(angle),
    spaced: spaced || /^\s/.test(text),
    rightToLeft: item.dir === 'rtl',
  };
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}

const ligatures = new Map([
  ['\ufb00', 'ff'],
  ['\ufb01', 'fi'],
  ['\ufb02', 'fl'],
  ['\ufb03', 'ffi'],
  ['\ufb04', 'ffl'],
  ['\ufb05', 'st'],
  ['\ufb06', 'st'],
]);

/** Ligatures taken apart, every kind of space a plain one, invisible and control characters left out. */
function cleanText(text: string): string {
  return (
    text
      .replace(/[\ufb00-\ufb06]/g, (c) => ligatures.get(c)!)
      .replace(/[\t\n\r\f\v\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g, ' ')
      // oxlint-disable-next-line no-control-regex -- fonts without a table of characters yield them
      .replace(/[\u0000-\u001f\u007f-\u009f\u200b\u2060\ufeff]/g, '')
      .replace(/\u00ad(?!$)/g, '')
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
  );
}

function toFailure(error: unknown): PdfFailure {
  if (error instanceof Failure) {
    return error.failure;
  }
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  if (name === 'PasswordException' || /no password given|incorrect password/i.test(message)) {
    return { reason: /incorrect/i.test(message) ? 'password-wrong' : 'password-needed' };
  }
  return { reason: 'damaged', detail: message.replace(/\n.*/s, '').slice(0, 200) };
}
