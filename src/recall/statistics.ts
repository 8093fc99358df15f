export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Of the standard normal distribution: 95 % lie within this many standard deviations. */
const Z95 = 1.96;

/**
 * Wilson score interval of a proportion (E. B. Wilson, 1927): it stays inside [0, 1] and is honest near 0 and 1.
 * @param z 1.96 for 95 %.
 */
export function wilson(hits: number, trials: number, z = Z95): Interval {
  if (trials === 0) return { low: 0, high: 1 };
  const p = hits / trials;
  const z2 = (z * z) / trials;
  const centre = (p + z2 / 2) / (1 + z2);
  const half = (z / (1 + z2)) * Math.sqrt((p * (1 - p)) / trials + z2 / (4 * trials));
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Mean of scores in [0, 1] and its interval by the normal approximation; all of [0, 1] for fewer than two. */
export function meanInterval(scores: readonly number[], z = Z95): Interval & { readonly mean: number } {
  const n = scores.length;
  const mean = n === 0 ? 0 : scores.reduce((sum, score) => sum + score, 0) / n;
  if (n < 2) return { mean, low: 0, high: 1 };
  const variance = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / (n - 1);
  const half = z * Math.sqrt(variance / n);
  return { mean, low: Math.max(0, mean - half), high: Math.min(1, mean + half) };
}

/**
 * Exact McNemar test (Q. McNemar, 1947) of two answers to each of the same questions: the two-sided probability of so
 * uneven a split of the questions on which they differ, were either as likely to be the better one.
 */
export function mcnemarExact(onlyFirst: number, onlySecond: number): number {
  const n = onlyFirst + onlySecond;
  // Terms of the binomial distribution with p = 1/2, in logarithms: 2^-n itself underflows for n above 1,074.
  let logTerm = -n * Math.LN2;
  let sum = 0;
  for (let k = 0; k <= Math.min(onlyFirst, onlySecond); k++) {
    sum += Math.exp(logTerm);
    logTerm += Math.log((n - k) / (k + 1));
  }
  return Math.min(1, 2 * sum);
}
