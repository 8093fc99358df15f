/** Preprocessing of images against Pillow's and transformers' own numbers. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { crop, imagePatches, resize, tileBoxes, shifted } from '../../src/encode/image.js';
import type { Raster } from '../../src/ingest/segment.js';

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../fixtures/gemma3-image/${name}`, import.meta.url), 'utf8'));
}

interface ResizeVector {
  readonly in_w: number;
  readonly in_h: number;
  readonly out_w: number;
  readonly out_h: number;
  readonly in_u8_hex: string;
  readonly out_u8_hex: string;
}

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

describe('resize', () => {
  const vectors = read('resize.json') as ResizeVector[];
  it.each(vectors)('$in_w x $in_h to $out_w x $out_h: every bit is Pillow’s', (vector) => {
    const image: Raster = { width: vector.in_w, height: vector.in_h, data: bytes(vector.in_u8_hex) };
    expect(resize(image, vector.out_w, vector.out_h).data).toEqual(bytes(vector.out_u8_hex));
  });

  it('has vectors that make smaller and larger', () => {
    expect(vectors.some(({ in_w, out_w }) => in_w > out_w)).toBe(true);
    expect(vectors.some(({ in_w, out_w }) => in_w < out_w)).toBe(true);
  });

  it('keeps a picture of the right size, and one colour at any size', () => {
    const image: Raster = { width: 2, height: 3, data: Uint8Array.from({ length: 18 }, (_, i) => i * 13) };
    expect(resize(image, 2, 3).data).toEqual(image.data);
    const white: Raster = { width: 7, height: 1, data: new Uint8Array(21).fill(255) };
    expect(new Set(resize(white, 900, 13).data)).toEqual(new Set([255]));
  });
});

it('crops rows and columns', () => {
  const image: Raster = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => i) };
  expect(crop(image, { left: 1, top: 1, right: 3, bottom: 2 })).toEqual({ width: 2, height: 1, data: Uint8Array.of(12, 13, 14, 15, 16, 17) });
});

it('moves a picture, and repeats its border', () => {
  const picture = { width: 3, height: 2, data: Uint8Array.from([1, 2, 3, 4, 5, 6].flatMap((value) => [value, 10 * value, 0])) };
  const reds = ({ data }: { data: Uint8Array }): number[] => [...data].filter((_, i) => i % 3 === 0);
  expect(reds(shifted(picture, 1, 0))).toEqual([1, 1, 2, 4, 4, 5]);
  expect(reds(shifted(picture, 0, 1))).toEqual([1, 2, 3, 1, 2, 3]);
  expect(reds(shifted(picture, -2, -1))).toEqual([6, 6, 6, 6, 6, 6]);
  expect(shifted(picture, 0, 0)).toEqual(picture);
});

it('cuts patches in the order channel, row, column, with values from -1 to 1', () => {
  // Two by two patches of two by two pixels; red is the number of the pixel, green 255, blue 0.
  const data = Uint8Array.from({ length: 48 }, (_, i) => [Math.floor(i / 3), 255, 0][i % 3]!);
  const patches = imagePatches({ width: 4, height: 4, data }, { imageSize: 4, patchSize: 2, side: 2 });
  expect(patches).toHaveLength(48);
  const red = (pixel: number): number => (pixel / 255 - 0.5) / 0.5;
  const second = [...patches.subarray(12, 24)];
  for (const [i, pixel] of [2, 3, 6, 7].entries()) expect(second[i]).toBeCloseTo(red(pixel), 6);
  expect(second.slice(4)).toEqual([1, 1, 1, 1, -1, -1, -1, -1]);
});

describe('tiles', () => {
  interface PanAndScanVector {
    readonly w: number;
    readonly h: number;
    readonly crops_xyxy: readonly (readonly [number, number, number, number])[];
  }
  it.each(read('pan-and-scan.json') as PanAndScanVector[])('auto cuts $w x $h as Gemma 3’s processor does', ({ w, h, crops_xyxy }) => {
    expect(tileBoxes(w, h, 'auto')).toEqual(crops_xyxy.map(([left, top, right, bottom]) => ({ left, top, right, bottom })));
  });

  it('cuts as many as asked, covering the image once', () => {
    expect(tileBoxes(1000, 1000, 0)).toEqual([]);
    expect(tileBoxes(1000, 1000, 1)).toEqual([]);
    expect(tileBoxes(10, 4, 3)).toEqual([
      { left: 0, top: 0, right: 4, bottom: 4 },
      { left: 4, top: 0, right: 8, bottom: 4 },
      { left: 8, top: 0, right: 10, bottom: 4 },
    ]);
    expect(tileBoxes(4, 9, 2)).toEqual([
      { left: 0, top: 0, right: 4, bottom: 5 },
      { left: 0, top: 5, right: 4, bottom: 9 },
    ]);
    expect(tileBoxes(1, 1, 5)).toEqual([]);
  });
});
