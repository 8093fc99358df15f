/** 1 - erf(x), in float64: by the series of erf near 0, by the continued fraction of erfc away from it (DLMF 7.6.2, 7.9.4). */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (!(x <= 27)) return Number.isNaN(x) ? x : 0;
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = x;
  // The larger x is, the sooner it converges.
  for (let n = Math.ceil(10 + 120 / (x * x)); n > 0; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}
