/** Colours of recall, told apart by lightness too; every map also prints the figure. */
import type { Counts } from '../summary.js';

export type Rgb = readonly [number, number, number];

/** Red, yellow and green of Arize's haystack plots. */
const RAMP: readonly Rgb[] = [[224, 56, 54], [255, 190, 60], [92, 196, 79]];
/** Errors are no recall. */
const GREY: Rgb = [150, 150, 150];

export function colourOf({ recall }: Pick<Counts, 'recall'>): Rgb {
  if (recall === null) return GREY;
  const at = Math.min(1, Math.max(0, recall)) * (RAMP.length - 1);
  const from = Math.min(RAMP.length - 2, Math.floor(at));
  const mix = (channel: 0 | 1 | 2): number => Math.round(RAMP[from]![channel] + (RAMP[from + 1]![channel] - RAMP[from]![channel]) * (at - from));
  return [mix(0), mix(1), mix(2)];
}

export function hex(rgb: Rgb): string {
  return `#${rgb.map((channel) => channel.toString(16).padStart(2, '0')).join('')}`;
}

/** 100, 67, err. */
export function figureOf({ recall }: Pick<Counts, 'recall'>): string {
  return recall === null ? 'err' : `${Math.round(100 * recall)}`;
}
