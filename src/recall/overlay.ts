/** Text over a picture, in a box: letters from a picture of letters, since a machine need not have fonts. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { crop, resize } from '../encode/image.js';
import { decodeImage, imageFormat } from '../ingest/image.js';
import { defaultLimits } from '../ingest/limits.js';
import type { Raster } from '../ingest/segment.js';

export interface Letters {
  /** All characters in a row, white on black. */
  readonly sheet: Raster;
  /** Code of the first character; the others follow. */
  readonly first: number;
  /** Pixels of each. */
  readonly widths: readonly number[];
}

/** @param dir letters.png and letters.json. Errors: LodestoneError(unreadableInput). */
export async function openLetters(dir: string): Promise<Letters> {
  const { first, widths } = JSON.parse(readFileSync(path.join(dir, 'letters.json'), 'utf8')) as { first: number; widths: number[] };
  return { sheet: await openPicture(path.join(dir, 'letters.png')), first, widths };
}

/** Errors: LodestoneError(unreadableInput). */
export async function openPicture(file: string): Promise<Raster> {
  const bytes = readFileSync(file);
  return decodeImage(file, bytes, imageFormat(bytes)!, defaultLimits);
}

/** How a text lies over a picture. */
export interface OverlayStyle {
  /** Of the picture's height, the height of a line. */
  readonly line: number;
  /** Where the box's middle is, 0 the top and 1 the bottom, as far as it fits. */
  readonly middle: number;
  /** Dark on light, or light on dark. */
  readonly dark: boolean;
}

/** Characters to a line: a line of so many takes most of a picture's width. */
const COLUMNS = 18;
/** Of a picture's width, the most that a line takes. */
const WIDEST = 0.92;

/** Lines of at most `COLUMNS` characters, broken at spaces. */
export function wrapOverlay(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= COLUMNS) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A line of text, white on black, as high as the sheet. */
function setLine(text: string, { sheet, first, widths }: Letters): Raster {
  const glyphs = Array.from(text, (character) => {
    const i = character.charCodeAt(0) - first;
    const left = widths.slice(0, i).reduce((sum, width) => sum + width, 0);
    return crop(sheet, { left, top: 0, right: left + widths[i]!, bottom: sheet.height });
  });
  const width = glyphs.reduce((sum, glyph) => sum + glyph.width, 0);
  const data = new Uint8Array(width * sheet.height * 3);
  let x = 0;
  for (const glyph of glyphs) {
    for (let y = 0; y < sheet.height; y++) data.set(glyph.data.subarray(y * glyph.width * 3, (y + 1) * glyph.width * 3), (y * width + x) * 3);
    x += glyph.width;
  }
  return { width, height: sheet.height, data };
}

/** A copy of the picture with the text over it. */
export function overlay(picture: Raster, text: string, letters: Letters, { line, middle, dark }: OverlayStyle): Raster {
  const lines = wrapOverlay(text).map((one) => setLine(one, letters));
  const widest = Math.max(...lines.map(({ width }) => width));
  const scale = Math.min((line * picture.height) / letters.sheet.height, (WIDEST * picture.width) / widest);
  const height = Math.round(letters.sheet.height * scale);
  const set = lines.map((one) => resize(one, Math.max(1, Math.round(one.width * scale)), height));
  const pad = Math.round(height / 4);
  const box = { width: Math.round(widest * scale) + 2 * pad, height: set.length * height + 2 * pad };
  const top = Math.max(0, Math.min(picture.height - box.height, Math.round(middle * picture.height - box.height / 2)));
  const left = Math.round((picture.width - box.width) / 2);
  const data = Uint8Array.from(picture.data);
  const level = (value: number): number => (dark ? 255 - value : value);
  fill(data, picture.width, { left, top, ...box }, level(0));
  for (const [i, one] of set.entries()) paste(data, picture.width, one, Math.round((picture.width - one.width) / 2), top + pad + i * height, level);
  return { ...picture, data };
}

function fill(data: Uint8Array, stride: number, { left, top, width, height }: { left: number; top: number; width: number; height: number }, value: number): void {
  for (let y = top; y < top + height; y++) data.fill(value, (y * stride + Math.max(0, left)) * 3, (y * stride + Math.min(stride, left + width)) * 3);
}

function paste(data: Uint8Array, stride: number, part: Raster, left: number, top: number, level: (value: number) => number): void {
  for (let y = 0; y < part.height; y++) {
    for (let x = 0; x < part.width * 3; x++) data[((top + y) * stride + left) * 3 + x] = level(part.data[y * part.width * 3 + x]!);
  }
}
