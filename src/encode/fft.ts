/** Of those that a butterfly takes. */
const largestFactor = 32;

/**
 * Discrete Fourier transform of any length whose prime factors are small (mixed radix, decimation in time), in float64.
 * Source: Cooley and Tukey 1965.
 */
export class Fft {
  readonly #cos: Float64Array;
  readonly #sin: Float64Array;
  /** Of one butterfly. */
  readonly #real = new Float64Array(largestFactor);
  readonly #imaginary = new Float64Array(largestFactor);

  constructor(readonly length: number) {
    this.#cos = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
    this.#sin = Float64Array.from({ length }, (_, i) => -Math.sin((2 * Math.PI * i) / length));
  }

  /** out[k] = sum of x[j] e^(-2 pi i j k / length); x and out are each [length] real parts and [length] imaginary parts. */
  transform(real: Float64Array, imaginary: Float64Array, outReal: Float64Array, outImaginary: Float64Array): void {
    this.#part(real, imaginary, 0, 1, outReal, outImaginary, 0, this.length);
  }

  /** Of the `n` inputs from `from` on, `step` apart, to `n` outputs from `to` on. */
  #part(real: Float64Array, imaginary: Float64Array, from: number, step: number, outReal: Float64Array, outImaginary: Float64Array, to: number, n: number): void {
    if (n === 1) {
      outReal[to] = real[from]!;
      outImaginary[to] = imaginary[from]!;
      return;
    }
    const radix = smallestFactor(n);
    const m = n / radix;
    for (let j = 0; j < radix; j++) this.#part(real, imaginary, from + j * step, step * radix, outReal, outImaginary, to + j * m, m);
    const [cos, sin, re, im] = [this.#cos, this.#sin, this.#real, this.#imaginary];
    for (let k = 0; k < m; k++) {
      for (let j = 0; j < radix; j++) {
        re[j] = outReal[to + j * m + k]!;
        im[j] = outImaginary[to + j * m + k]!;
      }
      for (let q = 0; q < radix; q++) {
        // The angle of output k + q m at input part j is j (k + q m) / n of a turn; `step` makes n the whole length.
        const turn = (k + q * m) * step;
        let sumReal = re[0]!;
        let sumImaginary = im[0]!;
        for (let j = 1, angle = turn % this.length; j < radix; j++) {
          sumReal += re[j]! * cos[angle]! - im[j]! * sin[angle]!;
          sumImaginary += re[j]! * sin[angle]! + im[j]! * cos[angle]!;
          angle += turn;
          angle %= this.length;
        }
        outReal[to + q * m + k] = sumReal;
        outImaginary[to + q * m + k] = sumImaginary;
      }
    }
  }
}

/** Whether all prime factors of n are small. */
export function isSmooth(n: number): boolean {
  for (let factor = 2; factor <= largestFactor; factor++) while (n % factor === 0) n /= factor;
  return n === 1;
}

function smallestFactor(n: number): number {
  for (let factor = 2; factor * factor <= n; factor++) if (n % factor === 0) return factor;
  if (n > largestFactor) throw new RangeError(`a transform of ${n} values is not made of small factors`);
  return n;
}
