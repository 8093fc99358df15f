/** Interquartile means and bootstrap intervals, as Agarwal et al. 2021 (arXiv 2108.13264) report few runs. */
import { createRandom, randomBelow } from '../random.js';
import type { Interval } from '../recall/statistics.js';

const resamples = 2000;

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean of the middle half: a quarter of the values is left out at each end (of the nearest values, in part). */
export function interquartileMean(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const cut = sorted.length / 4;
  let sum = 0;
  for (const [i, value] of sorted.entries()) {
    // How much of this value's unit interval [i, i + 1] lies between the quartiles.
    sum += value * Math.max(0, Math.min(i + 1, sorted.length - cut) - Math.max(i, cut));
  }
  return sum / (sorted.length - 2 * cut);
}

/**
 * 95 % interval of a statistic by the percentile bootstrap, drawing within each stratum (a task's runs) anew. The same
 * values give the same interval.
 */
export function bootstrapInterval(strata: readonly (readonly number[])[], statistic: (values: readonly number[]) => number): Interval {
  const random = createRandom(0);
  const drawn = Array.from({ length: resamples }, () => statistic(strata.flatMap((values) => values.map(() => values[randomBelow(values.length, random)]!)))).sort((a, b) => a - b);
  return { low: drawn[Math.floor(0.025 * resamples)]!, high: drawn[Math.ceil(0.975 * resamples) - 1]! };
}
