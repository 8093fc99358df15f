/**
 * An image as the vision tower takes it: resized, cut into patches, values in [-1, 1]; and Pan & Scan, which adds crops
 * of a wide or tall image, since each image is squashed to a square.
 *
 * The resize is Pillow's, bit for bit (BILINEAR, with antialiasing when it makes smaller), as the model's own processor
 * has it: one level of grey moves soft tokens. Source: Pillow `src/libImaging/Resample.c`, transformers
 * `image_processing_gemma3.py` 4.57 and 5.18.
 */
import { channels, type VisionConfig } from '../gemma/vision-config.js';
import type { Raster } from '../ingest/segment.js';

/** Pixels left .. right - 1 of the rows top .. bottom - 1. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** Bits after the point of a weight. */
const precision = 22;

/** For each output place: where its inputs begin, and their weights, integers whose sum is about 2^22. */
interface Filter {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** [output][taps] */
  readonly weights: Int32Array;
  readonly taps: number;
}

/** A triangle of the width of an output pixel, or of an input pixel where the image grows. */
function triangle(inputs: number, outputs: number): Filter {
  const scale = inputs / outputs;
  const support = Math.max(scale, 1);
  const taps = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(outputs);
  const count = new Int32Array(outputs);
  const weights = new Int32Array(outputs * taps);
  const raw = new Float64Array(taps);
  for (let x = 0; x < outputs; x++) {
    const centre = (x + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - support + 0.5));
    const to = Math.min(inputs, Math.trunc(centre + support + 0.5));
    let sum = 0;
    for (let j = from; j < to; j++) {
      const weight = Math.max(0, 1 - Math.abs((j - centre + 0.5) * (1 / support)));
      raw[j - from] = weight;
      sum += weight;
    }
    first[x] = from;
    count[x] = to - from;
    for (let i = 0; i < to - from; i++) {
      const weight = sum === 0 ? raw[i]! : raw[i]! / sum;
      weights[x * taps + i] = Math.trunc(0.5 + weight * 2 ** precision);
    }
  }
  return { first, count, weights, taps };
}

/** A weighted sum with 22 bits after the point, a half of the last bit above them in it, as 8 bits. */
function toByte(sum: number): number {
  const value = sum >> precision;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/** Rows first, then columns, each rounded to 8 bits; a pass that changes nothing is left out. */
export function resize(image: Raster, width: number, height: number): Raster {
  let { data } = image;
  if (width !== image.width) {
    const { first, count, weights, taps } = triangle(image.width, width);
    const out = new Uint8Array(width * image.height * channels);
    for (let y = 0; y < image.height; y++) {
      const row = y * image.width;
      for (let x = 0; x < width; x++) {
        const from = (row + first[x]!) * channels;
        let [r, g, b] = [2 ** (precision - 1), 2 ** (precision - 1), 2 ** (precision - 1)];
        for (let i = 0; i < count[x]!; i++) {
          const weight = weights[x * taps + i]!;
          const at = from + i * channels;
          r += data[at]! * weight;
          g += data[at + 1]! * weight;
          b += data[at + 2]! * weight;
        }
        const at = (y * width + x) * channels;
        out[at] = toByte(r);
        out[at + 1] = toByte(g);
        out[at + 2] = toByte(b);
      }
    }
    data = out;
  }
  if (height !== image.height) {
    const { first, count, weights, taps } = triangle(image.height, height);
    const stride = width * channels;
    const out = new Uint8Array(height * stride);
    const sums = new Float64Array(stride);
    for (let y = 0; y < height; y++) {
      sums.fill(2 ** (precision - 1));
      for (let i = 0; i < count[y]!; i++) {
        const weight = weights[y * taps + i]!;
        const from = (first[y]! + i) * stride;
        for (let x = 0; x < stride; x++) sums[x]! += data[from + x]! * weight;
      }
      for (let x = 0; x < stride; x++) out[y * stride + x] = toByte(sums[x]!);
    }
    data = out;
  }
  return { width, height, data };
}

/** The picture moved by whole pixels, to the right and down; what comes in repeats the border. */
export function shifted({ width, height, data }: Raster, right: number, down: number): Raster {
  const moved = new Uint8Array(data.length);
  const within = (at: number, size: number): number => Math.min(size - 1, Math.max(0, at));
  for (let y = 0; y < height; y++) {
    const row = within(y - down, height) * width;
    for (let x = 0; x < width; x++) {
      const from = (row + within(x - right, width)) * channels;
      const to = (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel++) moved[to + channel] = data[from + channel]!;
    }
  }
  return { width, height, data: moved };
}

export function crop({ width, data }: Raster, { left, top, right, bottom }: Box): Raster {
  const out = new Uint8Array((right - left) * (bottom - top) * channels);
  for (let y = top; y < bottom; y++) {
    const from = (y * width + left) * channels;
    out.set(data.subarray(from, from + (right - left) * channels), (y - top) * (right - left) * channels);
  }
  return { width: right - left, height: bottom - top, data: out };
}

/**
 * A whole image as the tower takes it, squashed to its square: f32 [side^2, channels * patchSize^2], patches row by row, a
 * patch's values in the order channel, row, column; a level v becomes (v / 255 - 0.5) / 0.5, in float32.
 */
export function imagePatches(image: Raster, { imageSize, patchSize, side }: Pick<VisionConfig, 'imageSize' | 'patchSize' | 'side'>): Float32Array {
  const { data } = resize(image, imageSize, imageSize);
  const levels = Float32Array.from({ length: 256 }, (_, v) => (Math.fround(v * Math.fround(1 / 255)) - 0.5) / 0.5);
  const perPatch = channels * patchSize ** 2;
  const patches = new Float32Array(side ** 2 * perPatch);
  for (let y = 0; y < imageSize; y++) {
    const [patchRow, row] = [Math.floor(y / patchSize), y % patchSize];
    for (let x = 0; x < imageSize; x++) {
      const patch = patchRow * side + Math.floor(x / patchSize);
      const to = patch * perPatch + row * patchSize + (x % patchSize);
      const from = (y * imageSize + x) * channels;
      for (let c = 0; c < channels; c++) patches[to + c * patchSize ** 2] = levels[data[from + c]!]!;
    }
  }
  return patches;
}

/** Crops of an image: as Gemma 3's Pan & Scan has it; or that many, along the longer side; 0 are none. */
export type Tiles = 'auto' | number;

/** Gemma 3's: the least size of a crop in pixels, the most crops, and how far from a square an image must be. */
const panAndScan = { minCrop: 256, maxCrops: 4, minRatio: 1.2 };

/**
 * The crops that are shown beside the whole image, in order: strips across the longer side that do not overlap.
 * `auto` gives none where the image is nearly square, or they would be too small.
 */
export function tileBoxes(width: number, height: number, tiles: Tiles): Box[] {
  const [longer, shorter] = [Math.max(width, height), Math.min(width, height)];
  let count: number;
  if (tiles === 'auto') {
    const { minCrop, maxCrops, minRatio } = panAndScan;
    const ratio = longer / shorter;
    if (ratio < minRatio) return [];
    count = Math.min(maxCrops, Math.max(2, Math.min(Math.floor(longer / minCrop), Math.floor(ratio + 0.5))));
    if (Math.min(Math.ceil(longer / count), shorter) < minCrop) return [];
  } else {
    count = Math.min(tiles, longer);
    if (count < 2) return [];
  }
  const size = Math.ceil(longer / count);
  const boxes: Box[] = [];
  for (let from = 0; from < longer; from += size) {
    const to = Math.min(from + size, longer);
    boxes.push(width >= height ? { left: from, top: 0, right: to, bottom: height } : { left: 0, top: from, right: width, bottom: to });
  }
  return boxes;
}
