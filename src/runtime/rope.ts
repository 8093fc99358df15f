/**
 * Rotary tables, made on the host in float64: angle = position * base^(-2j/headDim) / factor. Float32 angles would be
 * off by 1e-3 at 128K positions already; shaders' sin and cos by more.
 */
export interface Rope {
  readonly headDim: number;
  /** Radians per position [headDim / 2]. */
  readonly frequencies: Float64Array;
}

export function createRope(headDim: number, base: number, factor = 1): Rope {
  const frequencies = new Float64Array(headDim / 2);
  for (let j = 0; j < frequencies.length; j++) frequencies[j] = base ** ((-2 * j) / headDim) / factor;
  return { headDim, frequencies };
}

/** Rows for positions start .. start + rows - 1 into `out` [rows, headDim]: cosines, then sines. */
export function fillRope({ headDim, frequencies }: Rope, start: number, rows: number, out: Float32Array): void {
  const half = headDim / 2;
  for (let r = 0; r < rows; r++) {
    for (let j = 0; j < half; j++) {
      const angle = (start + r) * frequencies[j]!;
      out[r * headDim + j] = Math.cos(angle);
      out[r * headDim + half + j] = Math.sin(angle);
    }
  }
}
