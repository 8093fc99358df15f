/**
 * The returns that a categorical value can take. One convention for every loss, "extended edges": the atoms stand at even
 * distances from `low` to `high`, and each is the centre of a bin, so the outer edges lie half a bin beyond. Two-hot, C51
 * and HL-Gauss then differ in their targets alone.
 */

export interface Support {
  readonly bins: number;
  /** First and last atom. */
  readonly low: number;
  readonly high: number;
  /** Of a bin; the distance of neighbouring atoms. */
  readonly width: number;
  /** [bins] */
  readonly atoms: Float64Array;
  /** [bins + 1] */
  readonly edges: Float64Array;
}

/** Throws RangeError for fewer than 2 bins, or where `low` is not below `high`. */
export function createSupport(low: number, high: number, bins: number): Support {
  if (!Number.isSafeInteger(bins) || bins < 2) throw new RangeError(`a support of ${bins} bins: at least 2 are needed`);
  if (!(Number.isFinite(low) && Number.isFinite(high) && low < high)) throw new RangeError(`a support from ${low} to ${high}`);
  const width = (high - low) / (bins - 1);
  return {
    bins,
    low,
    high,
    width,
    atoms: Float64Array.from({ length: bins }, (_, i) => low + i * width),
    edges: Float64Array.from({ length: bins + 1 }, (_, i) => low + (i - 0.5) * width),
  };
}

/**
 * The support whose first atom lies `padding` bins below the least return and whose last lies as far above the most.
 * HL-Gauss draws values near the ends inwards; 3 sigma of padding (2.25 bins at a ratio of 0.75) keep returns clear of that.
 */
export function paddedSupport(least: number, most: number, bins: number, padding: number): Support {
  const inner = bins - 1 - 2 * padding;
  if (!(inner > 0)) throw new RangeError(`${bins} bins leave nothing between two paddings of ${padding}`);
  const width = (most - least) / inner;
  return createSupport(least - padding * width, most + padding * width, bins);
}

export function clampToSupport(value: number, { low, high }: Support): number {
  return Math.min(high, Math.max(low, value));
}
