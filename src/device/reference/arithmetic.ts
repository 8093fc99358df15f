/** The few sums that several kernels share, in float64. */

/** Sum of a[i] b[i] over n elements. Four partial sums in a fixed order: the result depends on the elements alone. */
export function dot(a: Float32Array, aFrom: number, b: Float32Array, bFrom: number, n: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    s0 += a[aFrom + i]! * b[bFrom + i]!;
    s1 += a[aFrom + i + 1]! * b[bFrom + i + 1]!;
    s2 += a[aFrom + i + 2]! * b[bFrom + i + 2]!;
    s3 += a[aFrom + i + 3]! * b[bFrom + i + 3]!;
  }
  for (; i < n; i++) s0 += a[aFrom + i]! * b[bFrom + i]!;
  return s0 + s1 + (s2 + s3);
}

/** (mean(x^2) + eps)^-1/2 over n elements: the factor of RMSNorm. */
export function inverseRms(x: Float32Array, from: number, n: number, eps: number): number {
  return 1 / Math.sqrt(dot(x, from, x, from, n) / n + eps);
}

const sqrt2OverPi = Math.sqrt(2 / Math.PI);

/** gelu_tanh(z) = z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))). */
export function geluTanh(z: number): number {
  return 0.5 * z * (1 + Math.tanh(sqrt2OverPi * (z + 0.044715 * z ** 3)));
}

/**
 * One head, in place: RMS-normalised with `gain`, then rotated by the table row at `tableFrom` (cosines, then sines)
 * in the split-half pairing, element j with j + headDim/2. Rounded to float32 once, at the end.
 */
export function normalizeAndRotate(
  x: Float32Array,
  from: number,
  headDim: number,
  gain: Float32Array,
  eps: number,
  table: Float32Array | null,
  tableFrom: number,
): void {
  const factor = inverseRms(x, from, headDim, eps);
  const half = headDim / 2;
  for (let j = 0; j < half; j++) {
    const a = x[from + j]! * factor * gain[j]!;
    const b = x[from + half + j]! * factor * gain[half + j]!;
    const cos = table ? table[tableFrom + j]! : 1;
    const sin = table ? table[tableFrom + half + j]! : 0;
    x[from + j] = a * cos - b * sin;
    x[from + half + j] = b * cos + a * sin;
  }
}
