/**
 * Rotary tables, made on the host in float64: angle = position * base^(-2j/headDim) / factor. Float32 angles would be
 * off by 1e-3 at 128K positions already, and by 0.1 at 10M; shaders' sin and cos by more. In float64 it is 1e-9 there.
 */
export interface Rope {
  readonly headDim: number;
  /** Radians per position [headDim / 2]. */
  readonly frequencies: Float64Array;
  /** Cosines and sines of positions 0 .. stride - 1, [stride, headDim / 2] each. */
  readonly near: { readonly cos: Float64Array; readonly sin: Float64Array };
}

/**
 * Sines and cosines are worked out at every `stride`-th position only, and turned from there by those of the first
 * positions. That is five times as fast, and the same at any position: sines of angles of 1e7 take three times as long as
 * those of small ones.
 */
const stride = 64;

export function createRope(headDim: number, base: number, factor = 1): Rope {
  const half = headDim / 2;
  const frequencies = new Float64Array(half);
  for (let j = 0; j < half; j++) frequencies[j] = base ** ((-2 * j) / headDim) / factor;
  const near = { cos: new Float64Array(stride * half), sin: new Float64Array(stride * half) };
  for (let p = 0; p < stride; p++) sinesAndCosines(frequencies, p, near.cos.subarray(p * half), near.sin.subarray(p * half));
  return { headDim, frequencies, near };
}

/** Rows for positions start .. start + rows - 1 into `out` [rows, headDim]: cosines, then sines. A row depends on its position alone. */
export function fillRope({ headDim, frequencies, near }: Rope, start: number, rows: number, out: Float32Array): void {
  const half = headDim / 2;
  const cos = new Float64Array(half);
  const sin = new Float64Array(half);
  let far = -1;
  for (let r = 0; r < rows; r++) {
    const beyond = (start + r) % stride;
    if (start + r - beyond !== far) {
      far = start + r - beyond;
      sinesAndCosines(frequencies, far, cos, sin);
    }
    for (let j = 0; j < half; j++) {
      const c = near.cos[beyond * half + j]!;
      const s = near.sin[beyond * half + j]!;
      out[r * headDim + j] = cos[j]! * c - sin[j]! * s;
      out[r * headDim + half + j] = sin[j]! * c + cos[j]! * s;
    }
  }
}

function sinesAndCosines(frequencies: Float64Array, position: number, cos: Float64Array, sin: Float64Array): void {
  for (const [j, frequency] of frequencies.entries()) {
    cos[j] = Math.cos(position * frequency);
    sin[j] = Math.sin(position * frequency);
  }
}
