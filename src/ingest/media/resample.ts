/**
 * Another sample rate, as sound streams. The filter is a sinc, cut off at 0.945 of the lower of the two Nyquist frequencies,
 * under a Kaiser window (beta 8) that reaches over 48 of its zeros on either side: what would fold back is 80 dB down, and up to
 * 0.89 of that frequency nothing is changed by a thousandth. Output sample i lies at the time of input
 * sample i * from / to; before the beginning and behind the end there is silence.
 * Source: J. O. Smith, Digital Audio Resampling (CCRMA).
 */

const zeros = 48;
const cutoff = 0.945;
const beta = 8;

/** The modified Bessel function of the first kind and order 0, by its series. */
function bessel(x: number): number {
  let sum = 1;
  for (let term = 1, n = 1; term > sum * 1e-17; n++) {
    term *= (x / (2 * n)) ** 2;
    sum += term;
  }
  return sum;
}

/** @param samples per second `from`, in pieces of any size */
export async function* resample(samples: AsyncIterable<Float32Array>, from: number, to: number): AsyncGenerator<Float32Array> {
  if (from === to) {
    yield* samples;
    return;
  }
  const divisor = gcd(from, to);
  const [up, down] = [to / divisor, from / divisor];
  const { taps, half, filters } = makeFilters(up, down);
  // Inputs from number `first` on; the ones before are needed no more.
  let buffer = new Float32Array(half);
  let first = -half;
  let next = 0;
  const produce = (available: number): Float32Array => {
    // Output `next` reads inputs floor(next * down / up) - half + 1 .. + half.
    const count = Math.max(0, Math.ceil(((available - half) * up) / down) - next);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++, next++) {
      const position = next * down;
      const whole = Math.floor(position / up);
      const filter = filters(position - whole * up);
      const at = whole - half + 1 - first;
      let sum = 0;
      for (let j = 0; j < taps; j++) sum += buffer[at + j]! * filter[j]!;
      out[i] = sum;
    }
    const keep = Math.floor((next * down) / up) - half + 1;
    if (keep > first) {
      buffer = buffer.subarray(Math.min(buffer.length, keep - first));
      first = keep;
    }
    return out;
  };
  let received = 0;
  const append = (piece: Float32Array): void => {
    const joined = new Float32Array(buffer.length + piece.length);
    joined.set(buffer);
    joined.set(piece, buffer.length);
    buffer = joined;
  };
  for await (const piece of samples) {
    append(piece);
    received += piece.length;
    const out = produce(received);
    if (out.length > 0) yield out;
  }
  append(new Float32Array(half));
  const rest = produce(received + half);
  if (rest.length > 0) yield rest;
}

/** `filters(phase)`: weights of the inputs around an output that lies phase / up behind an input. */
function makeFilters(up: number, down: number): { taps: number; half: number; filters: (phase: number) => Float64Array } {
  const width = cutoff * Math.min(1, up / down);
  const half = Math.ceil(zeros / width);
  const taps = 2 * half;
  const made = new Map<number, Float64Array>();
  const make = (phase: number): Float64Array => {
    const weights = Float64Array.from({ length: taps }, (_, j) => {
      const t = j - half + 1 - phase / up;
      const edge = t / half;
      if (Math.abs(edge) >= 1) return 0;
      const x = Math.PI * width * t;
      return width * (x === 0 ? 1 : Math.sin(x) / x) * (bessel(beta * Math.sqrt(1 - edge * edge)) / bessel(beta));
    });
    // A constant stays what it is.
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  };
  const filters = (phase: number): Float64Array => {
    let filter = made.get(phase);
    if (!filter) {
      filter = make(phase);
      made.set(phase, filter);
    }
    return filter;
  };
  return { taps, half, filters };
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
