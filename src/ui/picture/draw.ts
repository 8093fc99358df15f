/**
 * Pictures as terminals show them. The text of one ends where the cursor stands behind it, in its last row.
 * Sources: iTerm2's inline images (OSC 1337), kitty's graphics protocol (APC G), DEC's sixel (by the package of that name).
 */
import type { Sharp } from 'sharp';
import type { Raster } from '../../ingest/segment.js';
import type { PictureLook } from './terminal.js';

export interface Cells {
  readonly columns: number;
  readonly rows: number;
}

const ESC = '\u001b';
/** Of base64 in one of kitty's commands. */
const KITTY_CHUNK = 4096;
/** Of sixel's colours. */
const PALETTE = 256;
/** Without colours, from dark to light. */
const SHADES = [' ', '░', '▒', '▓', '█'];

/** The cells that a picture takes: all of `most` that its shape allows, but not more than its pixels fill. */
export function fitCells({ width, height }: Pick<Raster, 'width' | 'height'>, { cell }: Pick<PictureLook, 'cell'>, most: Cells): Cells {
  const [across, down] = [width / cell.width, height / cell.height];
  const scale = Math.min(1, most.columns / across, most.rows / down);
  return { columns: Math.max(1, Math.round(across * scale)), rows: Math.max(1, Math.round(down * scale)) };
}

/** Errors: those of sharp, which is loaded here. */
export async function drawPicture(picture: Raster, look: PictureLook, cells: Cells): Promise<string> {
  const { default: sharp } = await import('sharp');
  const { columns, rows } = cells;
  const scaled = (width: number, height: number): Sharp =>
    sharp(picture.data, { raw: { width: picture.width, height: picture.height, channels: 3 } }).resize(width, height, { fit: 'fill' });
  const [width, height] = [columns * look.cell.width, rows * look.cell.height];
  switch (look.format) {
    case 'iterm2':
      return iterm(await scaled(width, height).png().toBuffer(), cells);
    case 'kitty':
      return kitty(await scaled(width, height).png().toBuffer(), cells);
    case 'sixel': {
      // libimagequant chooses the colours, and finely; the package's own quantiser mistakes a few pure ones for grey.
      const few = await scaled(width, height).png({ palette: true, colours: PALETTE }).toBuffer();
      return encodeSixel(await sharp(few).ensureAlpha().raw().toBuffer(), width, height);
    }
    case 'blocks':
      return blocks(await scaled(columns, 2 * rows).raw().toBuffer(), cells, look.colourBits);
    case 'shades':
      return shades(await scaled(columns, rows).raw().toBuffer(), cells);
  }
}

/** @param rgba [height][width][4], of at most 256 colours */
async function encodeSixel(rgba: Buffer, width: number, height: number): Promise<string> {
  const { FINALIZER, introducer, sixelEncode } = await import('sixel');
  const pixels = Uint8Array.from(rgba);
  const palette = [...new Set(new Uint32Array(pixels.buffer))];
  return introducer(1) + sixelEncode(pixels, width, height, palette) + FINALIZER;
}

function iterm(png: Buffer, { columns, rows }: Cells): string {
  return `${ESC}]1337;File=inline=1;size=${png.length};width=${columns};height=${rows};preserveAspectRatio=0:${png.toString('base64')}\u0007`;
}

/** q=2: the terminal answers nothing, so nothing comes among the keys. */
function kitty(png: Buffer, { columns, rows }: Cells): string {
  const data = png.toString('base64');
  const count = Math.ceil(data.length / KITTY_CHUNK);
  return Array.from({ length: count }, (_, i) => {
    const head = i === 0 ? `f=100,a=T,q=2,c=${columns},r=${rows},` : '';
    return `${ESC}_G${head}m=${i + 1 < count ? 1 : 0};${data.slice(i * KITTY_CHUNK, (i + 1) * KITTY_CHUNK)}${ESC}\\`;
  }).join('');
}

/** Upper half blocks: the character's colour is the upper pixel's, that behind it the lower one's. @param rgb [2 rows][columns][3] */
function blocks(rgb: Uint8Array, { columns, rows }: Cells, colourBits: number): string {
  const colour = colourBits >= 24 ? trueColour : cubeColour;
  const at = (x: number, y: number): string => colour(rgb.subarray(3 * (y * columns + x), 3 * (y * columns + x) + 3));
  return Array.from({ length: rows }, (_row, y) => {
    const line = Array.from({ length: columns }, (_cell, x) => `${ESC}[38;${at(x, 2 * y)};48;${at(x, 2 * y + 1)}m▀`);
    return `${line.join('')}${ESC}[0m`;
  }).join('\n');
}

function trueColour(rgb: Uint8Array): string {
  return `2;${rgb[0]};${rgb[1]};${rgb[2]}`;
}

/** In xterm's cube of 6 x 6 x 6, whose steps are 0, 95, 135, 175, 215, 255. */
function cubeColour(rgb: Uint8Array): string {
  const step = (value: number): number => (value < 48 ? 0 : value < 115 ? 1 : Math.min(5, Math.floor((value - 35) / 40)));
  return `5;${16 + 36 * step(rgb[0]!) + 6 * step(rgb[1]!) + step(rgb[2]!)}`;
}

/** By luminance (ITU-R BT.709). @param rgb [rows][columns][3] */
function shades(rgb: Uint8Array, { columns, rows }: Cells): string {
  const shade = (i: number): string => {
    const light = (0.2126 * rgb[3 * i]! + 0.7152 * rgb[3 * i + 1]! + 0.0722 * rgb[3 * i + 2]!) / 256;
    return SHADES[Math.floor(light * SHADES.length)]!;
  };
  return Array.from({ length: rows }, (_, y) => Array.from({ length: columns }, (_cell, x) => shade(y * columns + x)).join('')).join('\n');
}
