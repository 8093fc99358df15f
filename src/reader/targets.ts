/**
 * Target distributions over a support's atoms. What is put in for `out` is written over and returned.
 * Source: Farebrother et al. 2024, "Stop Regressing" (arXiv 2403.03950), section 3; the weights of two-hot and of the
 * projection are those that keep the mean (in the first version of the paper's text they stand interchanged).
 */
import { erfc } from '../erfc.js';
import type { Support } from './support.js';

/** Keeps the normalisation finite where nearly no mass lies inside. */
const TINY = 1e-8;

/** A normal distribution has 1e-16 of its mass beyond so many standard deviations. */
const FAR_SIGMAS = 8.3;

/** The two atoms beside `value`, weighted so that the mean is `value`. Throws RangeError outside the atoms. */
export function twoHot(value: number, support: Support, out = new Float64Array(support.bins)): Float64Array {
  const { low, high, width, bins } = support;
  if (!(value >= low && value <= high)) throw new RangeError(`${value} lies outside the support from ${low} to ${high}`);
  const position = (value - low) / width;
  const below = Math.min(Math.floor(position), bins - 2);
  out.fill(0);
  out[below + 1] = Math.min(1, position - below);
  out[below] = 1 - out[below + 1]!;
  return out;
}

/**
 * The mass of a normal distribution around `value` in each bin, of its mass in all of them.
 * @param sigma standard deviation, in units of returns (not of bins)
 * Throws RangeError outside the outer edges.
 */
export function hlGauss(value: number, support: Support, sigma: number, out = new Float64Array(support.bins)): Float64Array {
  const { edges, bins, width } = support;
  if (!(value >= edges[0]! && value <= edges[bins]!)) throw new RangeError(`${value} lies outside the bins from ${edges[0]!} to ${edges[bins]!}`);
  if (!(sigma > 0)) throw new RangeError(`a standard deviation of ${sigma}`);
  const scale = 1 / (sigma * Math.SQRT2);
  const below = (edge: number): number => 0.5 * erfc((value - edge) * scale);
  const inside = below(edges[bins]!) - below(edges[0]!);
  // Bins further away hold less than the rounding of 1; most bins are.
  const reach = FAR_SIGMAS * sigma + width;
  const from = Math.max(0, Math.floor((value - reach - edges[0]!) / width));
  const to = Math.min(bins, Math.ceil((value + reach - edges[0]!) / width));
  out.fill(0);
  let last = below(edges[from]!);
  for (let i = from; i < to; i++) {
    const next = below(edges[i + 1]!);
    out[i] = (next - last) / Math.max(inside, TINY);
    last = next;
  }
  return out;
}

/**
 * The distribution of reward + discount * return, for returns distributed as `probabilities`, projected onto the atoms
 * (Bellemare et al. 2017, "C51", algorithm 1). Its mass is that of `probabilities` exactly; what falls outside is clamped.
 */
export function projectReturns(probabilities: ArrayLike<number>, reward: number, discount: number, support: Support, out = new Float64Array(support.bins)): Float64Array {
  const { atoms, bins, low, high, width } = support;
  out.fill(0);
  for (let j = 0; j < bins; j++) {
    const moved = Math.min(high, Math.max(low, reward + discount * atoms[j]!));
    const position = (moved - low) / width;
    // The last pair of atoms where the position is a whole number at the end: both weights must not vanish.
    const below = Math.min(Math.floor(position), bins - 2);
    const above = Math.min(1, position - below) * probabilities[j]!;
    out[below + 1]! += above;
    out[below]! += probabilities[j]! - above;
  }
  return out;
}

/** Expected return. */
export function meanOf(probabilities: ArrayLike<number>, { atoms }: Support): number {
  let sum = 0;
  for (let i = 0; i < atoms.length; i++) sum += probabilities[i]! * atoms[i]!;
  return sum;
}

/** In nats: the least cross-entropy that a target allows. Losses of different smoothing compare without it. */
export function entropyOf(probabilities: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    if (p > 0) sum -= p * Math.log(p);
  }
  return sum;
}
