/** A PDF page to pixels, in the PDF worker: for models that see, where there is no text to read. */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Raster } from './segment.js';

/** The parts of pdf.js's page that drawing needs. */
export interface DrawablePage {
  getViewport(options: { scale: number }): { readonly width: number; readonly height: number };
  render(options: { canvas: null; canvasContext: unknown; viewport: unknown }): { readonly promise: Promise<void> };
  getOperatorList(): Promise<{ readonly fnArray: readonly number[] }>;
}

/** The parts of @napi-rs/canvas that are used here. */
interface Canvas {
  width: number;
  height: number;
  getContext(kind: '2d'): { getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray } };
}
interface CanvasPackage {
  createCanvas(width: number, height: number): Canvas;
  readonly DOMMatrix: unknown;
  readonly ImageData: unknown;
  readonly Path2D: unknown;
}

/** Resolves packages as pdf-parse does, so that they have the very versions that it brings. */
export const requireOfParser = createRequire(createRequire(import.meta.url).resolve('pdf-parse'));

/** The native canvas that pdf-parse brings; undefined where it has no binary for this machine, or none was installed. */
function loadCanvas(): CanvasPackage | undefined {
  try {
    return requireOfParser('@napi-rs/canvas') as CanvasPackage;
  } catch {
    return undefined;
  }
}

const canvas = loadCanvas();
export const canDraw = canvas !== undefined;

function Unused() {}

/** pdf.js takes these from a native canvas when it is loaded. Where there is none, text is still read, and needs none of them. */
export function installDrawingGlobals(): void {
  const globals = globalThis as { DOMMatrix?: unknown; ImageData?: unknown; Path2D?: unknown };
  for (const name of ['DOMMatrix', 'ImageData', 'Path2D'] as const) globals[name] ??= canvas?.[name] ?? Unused;
}

/** Whether a page shows an image: a scan, a photograph, a stamp. */
export async function paintsImage(page: DrawablePage): Promise<boolean> {
  const { OPS } = (await import(pathToFileURL(requireOfParser.resolve('pdfjs-dist/legacy/build/pdf.mjs')).href)) as { OPS: Readonly<Record<string, number>> };
  const painting = new Set(Object.entries(OPS).flatMap(([name, code]) => (/^paint.*Image/.test(name) ? [code] : [])));
  return (await page.getOperatorList()).fnArray.some((code) => painting.has(code));
}

/**
 * Draws a page on white so that its longer side has `edge` pixels, whatever size it says it has.
 * @returns null for a blank page: one colour all over.
 * @throws RangeError where the page has no size; what pdf.js throws at damage.
 */
export async function drawPage(page: DrawablePage, edge: number): Promise<Raster | null> {
  const size = page.getViewport({ scale: 1 });
  const longer = Math.max(size.width, size.height);
  if (!(longer > 0 && Number.isFinite(longer))) throw new RangeError('a page of no size');
  const scale = edge / longer;
  const pixels = (points: number): number => Math.min(edge, Math.max(1, Math.round(points * scale)));
  const [width, height] = [pixels(size.width), pixels(size.height)];
  const surface = canvas!.createCanvas(width, height);
  const context = surface.getContext('2d');
  await page.render({ canvas: null, canvasContext: context, viewport: page.getViewport({ scale }) }).promise;
  const { data } = context.getImageData(0, 0, width, height);
  // Native memory goes with the surface, and not when JavaScript's collector thinks of it.
  surface.width = 0;
  surface.height = 0;
  return withoutAlpha(data, width, height);
}

function withoutAlpha(rgba: Uint8ClampedArray, width: number, height: number): Raster | null {
  const data = new Uint8Array(width * height * 3);
  let blank = true;
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    for (let c = 0; c < 3; c++) {
      data[to + c] = rgba[from + c]!;
      blank &&= rgba[from + c] === rgba[c];
    }
  }
  return blank ? null : { width, height, data };
}
