/** A picture of four fields, each of one colour. */
import type { Raster } from '../../src/ingest/segment.js';

/** Of the fields, in rows. */
export const colours = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
  [255, 255, 255],
] as const;

/** The field in which a point lies; x and y from 0 to 1. */
export function colourAt(x: number, y: number): readonly [number, number, number] {
  return colours[(y < 0.5 ? 0 : 2) + (x < 0.5 ? 0 : 1)]!;
}

export function fields(width: number, height: number): Raster {
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) data.set(colourAt(((i % width) + 0.5) / width, (Math.floor(i / width) + 0.5) / height), 3 * i);
  return { width, height, data };
}
