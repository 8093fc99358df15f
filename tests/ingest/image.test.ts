/** Images to pixels: every format, and what is wrong with a file. */
import { deflateSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { decodeImage, imageFormat } from '../../src/ingest/image.js';
import { ingest } from '../../src/ingest/ingest.js';
import { defaultLimits } from '../../src/ingest/limits.js';
import type { Raster } from '../../src/ingest/segment.js';
import { randomizer } from '../device/cases.js';
import { file, refusal, scratch } from './support.js';

const dir = scratch();
const [width, height] = [61, 37];
/** Smooth, so that lossy formats keep it nearly. */
const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
  const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
  return Math.round(128 + 100 * Math.sin(x / 9 + c) * Math.cos(y / 11));
});
const picture = (): Sharp => sharp(pixels, { raw: { width, height, channels: 3 } });
const files = {
  png: await picture().png().toBuffer(),
  jpeg: await picture().jpeg({ quality: 95 }).toBuffer(),
  webp: await picture().webp({ lossless: true }).toBuffer(),
  gif: await picture().gif().toBuffer(),
};

function decode(bytes: Uint8Array, limits: Partial<typeof defaultLimits> = {}, name = 'picture'): Promise<Raster> {
  return decodeImage(name, bytes, imageFormat(bytes)!, { ...defaultLimits, ...limits });
}

function meanError(a: Uint8Array, b: Uint8Array): number {
  expect(a).toHaveLength(b.length);
  return a.reduce((sum, v, i) => sum + Math.abs(v - b[i]!), 0) / a.length;
}

describe('decodes', () => {
  it.each([
    ['png', 0],
    ['webp', 0],
    ['jpeg', 1.5],
    ['gif', 6],
  ] as const)('%s', async (format, error) => {
    const image = await decode(files[format]);
    expect([image.width, image.height]).toEqual([width, height]);
    expect(meanError(image.data, pixels)).toBeLessThanOrEqual(error);
  });

  it('grey, with a palette, of 16 bits and in CMYK, as RGB of 8 bits', async () => {
    const grey = await decode(await picture().greyscale().png().toBuffer());
    expect(grey.data).toHaveLength(pixels.length);
    for (let i = 0; i < grey.data.length; i += 3) expect(grey.data[i + 1] === grey.data[i] && grey.data[i + 2] === grey.data[i]).toBe(true);
    expect(meanError((await decode(await picture().png({ palette: true }).toBuffer())).data, pixels)).toBeLessThan(6);
    expect(meanError((await decode(await picture().toColourspace('rgb16').png().toBuffer())).data, pixels)).toBeLessThan(1);
    expect(meanError((await decode(await picture().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer())).data, pixels)).toBeLessThan(25);
  });

  it('drops an alpha channel and keeps the colours under it', async () => {
    const rgba = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i % 4 === 3 ? i % 256 : pixels[Math.floor(i / 4) * 3 + (i % 4)]!));
    const transparent = await sharp(rgba, { raw: { width, height, channels: 4 } }).png().toBuffer();
    expect((await decode(transparent)).data).toEqual(pixels);
  });

  it('turns an image as the camera says', async () => {
    const turned = await decode(await picture().withMetadata({ orientation: 6 }).jpeg({ quality: 95 }).toBuffer());
    expect([turned.width, turned.height]).toEqual([height, width]);
    // Orientation 6: what is stored first, top left, belongs to the top right.
    const at = (x: number, y: number): number => turned.data[(y * height + x) * 3]!;
    expect(Math.abs(at(height - 1, 0) - pixels[0]!)).toBeLessThan(8);
  });

  it('the first frame of several', async () => {
    const two = new Uint8Array(2 * pixels.length);
    two.set(pixels);
    two.fill(7, pixels.length);
    const animated = await sharp(two, { raw: { width, height: 2 * height, channels: 3, pageHeight: height } }).gif().toBuffer();
    const image = await decode(animated);
    expect([image.width, image.height]).toEqual([width, height]);
    expect(meanError(image.data, pixels)).toBeLessThan(6);
  });
});

describe('refuses in one line', () => {
  it.each(Object.keys(files) as (keyof typeof files)[])('%s cut short anywhere', async (format) => {
    const bytes = files[format];
    for (const share of [0.05, 0.3, 0.6, 0.9]) {
      const cut = bytes.subarray(0, Math.max(12, Math.floor(bytes.length * share)));
      expect(await refusal(decode(cut, {}, 'cut.img'), 'cut.img'), `${format} cut to ${cut.length} of ${bytes.length}`).toMatch(/can't be decoded: it is damaged or cut short/);
    }
  });

  it('one that claims more pixels than are read, before it takes memory for them', async () => {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(60_000, 0);
    header.writeUInt32BE(60_000, 4);
    header.set([8, 2, 0, 0, 0], 8);
    const bomb = Buffer.concat([Buffer.from('\u0089PNG\r\n\u001a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', deflateSync(Buffer.alloc(1000))), chunk('IEND', Buffer.alloc(0))]);
    const before = process.memoryUsage().rss;
    expect(await refusal(decode(bomb, {}, 'bomb.png'), 'bomb.png')).toMatch(/60000 x 60000 pixels, more than the 100000000/);
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
    expect(await refusal(decode(files.png, { imagePixels: width * height - 1 }), 'picture')).toMatch(/61 x 37 pixels/);
  });

  it('or decodes whatever bytes are changed, and never crashes', async () => {
    const next = randomizer(5);
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const bytes = Uint8Array.from(Object.values(files)[round % 4]!);
      for (let i = 0; i < 4; i++) bytes[12 + Math.floor(((next() + 1) / 2) * (bytes.length - 12))] = Math.floor((next() + 1) * 128);
      await decode(bytes, {}, 'odd.img').then(
        ({ width, height, data }) => expect(data).toHaveLength(width * height * 3),
        async (error: unknown) => {
          refused++;
          await refusal(Promise.reject(error instanceof Error ? error : new Error(String(error))), 'odd.img');
        },
      );
    }
    expect(refused).toBeGreaterThan(20);
  });
});

describe('ingest', () => {
  it('gives an image one segment without text', async () => {
    const [source] = await ingest([file(dir, 'photo.txt', files.png)], { images: true });
    expect(source?.source.kind).toBe('image');
    expect(source?.segments).toEqual([{ source: 0, text: '', image: { width, height, data: pixels } }]);
  });

  it('refuses it by name where the model reads text only', async () => {
    const path = file(dir, 'photo.webp', files.webp);
    expect(await refusal(ingest([path]), path)).toMatch(/is a WebP image, and only text is read here/);
    expect(await refusal(ingest([path], { images: 'which m does not see; take another' }), path)).toMatch(/is a WebP image, which m does not see; take another/);
  });
});

/** A PNG chunk with its checksum. */
function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  let crc = 0xffffffff;
  for (const byte of body) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  const out = Buffer.alloc(12 + data.length);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE((crc ^ 0xffffffff) >>> 0, 8 + data.length);
  return out;
}
