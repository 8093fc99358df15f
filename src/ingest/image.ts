/**
 * Images to pixels: PNG, JPEG, WebP and GIF, of several frames the first. What is decoded is what the model's own processor
 * would see: turned as the camera says, an alpha channel dropped, colour profiles left alone.
 *
 * The decoder (sharp, that is libvips) is loaded only when there is an image to read. An image is refused by its header
 * before its pixels take memory, and a broken or cut one is refused, never read in part.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { formatBytes, type IngestLimits } from './limits.js';
import { unreadable } from './name.js';
import type { Raster } from './segment.js';

export type ImageFormat = 'PNG' | 'JPEG' | 'WebP' | 'GIF';

/** By its first bytes; undefined: none of these. */
export function imageFormat(bytes: Uint8Array): ImageFormat | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 12)).toString('latin1');
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'PNG';
  if (start.startsWith('\xff\xd8\xff')) return 'JPEG';
  if (start.startsWith('GIF87a') || start.startsWith('GIF89a')) return 'GIF';
  return start.startsWith('RIFF') && start.slice(8) === 'WEBP' ? 'WebP' : undefined;
}

/**
 * @param format as `imageFormat` found it
 * @throws LodestoneError (unreadableInput), one line that names the source: too large, damaged, cut short, too slow.
 */
export async function decodeImage(path: string, bytes: Uint8Array, format: ImageFormat, limits: Pick<IngestLimits, 'imagePixels' | 'documentMs'>): Promise<Raster> {
  const { default: sharp } = await import('sharp').catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.unreadableInput, `images can't be read here: the package sharp, or the part of it for this machine, is not installed (npm install --include=optional)`, { cause });
  });
  const what = `is a ${format} image`;
  try {
    const image = sharp(bytes, { limitInputPixels: false, failOn: 'truncated', ignoreIcc: true, autoOrient: true });
    const { width, height } = await image.metadata();
    if (width * height > limits.imagePixels) {
      throw unreadable(path, `${what} of ${width} x ${height} pixels, more than the ${limits.imagePixels} that are read (${formatBytes(limits.imagePixels * 3)}); make it smaller`);
    }
    const seconds = Math.max(1, Math.min(3600, Math.ceil(limits.documentMs / 1e3)));
    const { data, info } = await image.removeAlpha().toColourspace('srgb').timeout({ seconds }).raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data: threeChannels(data, info.channels) };
  } catch (cause) {
    if (cause instanceof LodestoneError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (/timeout/i.test(reason)) throw unreadable(path, `${what} that takes longer than ${limits.documentMs / 1e3} s to decode`, { cause });
    throw unreadable(path, `${what} that can't be decoded: it is damaged or cut short (${oneLine(reason)})`, { cause });
  }
}

/** Grey as RGB; RGB as it is. */
function threeChannels(data: Uint8Array, count: number): Uint8Array {
  if (count === 3) return new Uint8Array(data.buffer, data.byteOffset, data.length);
  const out = new Uint8Array((data.length / count) * 3);
  for (let from = 0, to = 0; from < data.length; from += count, to += 3) {
    for (let c = 0; c < 3; c++) out[to + c] = data[from + (count > 3 ? c : 0)]!;
  }
  return out;
}

function oneLine(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, ' ').trim();
  return line.length > 120 ? `${line.slice(0, 120)}...` : line;
}
