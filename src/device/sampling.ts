/**
 * Logits -> a token. Pure functions: what a draw depends on comes in as numbers, so that every device draws the same token
 * for the same seed (but for logits, or bounds, that differ by less than rounding).
 * Order of the filters as in transformers: temperature, top-k, top-p, min-p. Each is a bound on logits, so that tokens as
 * probable as the last one that is kept are kept too.
 */
export interface Sampling {
  /** 0: the most probable token. 1: the model's own distribution. */
  readonly temperature: number;
  /** Keep the k most probable tokens; 0 or undefined: all. */
  readonly topK?: number | undefined;
  /** Keep the fewest most probable tokens that hold at least this much probability; 1 or undefined: all. */
  readonly topP?: number | undefined;
  /** Keep tokens at least this fraction as probable as the most probable one; 0 or undefined: all. */
  readonly minP?: number | undefined;
  /** Of the pseudo-random numbers; same seed, same text. */
  readonly seed?: number | undefined;
}

export function isGreedy({ temperature, topK }: Sampling): boolean {
  return temperature <= 0 || topK === 1;
}

/** Index of the largest logit, the first of equals. NaN never wins. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  let value = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    if (logits[i]! > value) {
      value = logits[i]!;
      best = i;
    }
  }
  return best;
}

/** ln of the sum of exp(logits). */
export function logSumExp(logits: Float32Array): number {
  let max = -Infinity;
  for (const logit of logits) if (logit > max) max = logit;
  if (max === -Infinity) return max;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return max + Math.log(sum);
}

/** ln softmax(logits)[id]. */
export function logProbability(logits: Float32Array, id: number): number {
  return logits[id]! - logSumExp(logits);
}

/** The least logit that may be drawn. `sampling.temperature` must be above 0, and some logit above -Infinity. */
export function cutoff(logits: Float32Array, sampling: Sampling): number {
  const { temperature, topK = 0, topP = 1, minP = 0 } = sampling;
  const max = logits[argmax(logits)]!;
  const weight = (logit: number): number => Math.exp((logit - max) / temperature);
  let least = minP > 0 ? max + temperature * Math.log(minP) : -Infinity;
  let kept = logits.filter((logit) => logit > -Infinity);
  if (topK > 0 && topK < kept.length) {
    const bound = kept.toSorted().at(-topK)!;
    kept = kept.filter((logit) => logit >= bound);
    least = Math.max(least, bound);
  }
  if (topP < 1) {
    const total = kept.reduce((sum, logit) => sum + weight(logit), 0);
    // Tokens lighter than this weigh less than 1 - top-p together, so none of them is needed; the others are sorted.
    const light = ((1 - topP) * total) / kept.length;
    const heavy = kept.filter((logit) => weight(logit) >= light).sort();
    // A token is kept while the probability before it is below top-p; the first always.
    let before = 0;
    let at = heavy.length - 1;
    for (; at > 0; at--) {
      before += weight(heavy[at]!);
      if (before >= topP * total) break;
    }
    least = Math.max(least, heavy[at]!);
  }
  return Math.min(max, least);
}

/** The largest number that `gumbel` gives. */
const mostGumbel = 23;

/**
 * Draws from softmax(logits / temperature) over the tokens that the filters keep: the largest of logit / temperature plus a
 * Gumbel number that depends on seed, step and id alone. Greedy at temperature 0.
 * @param step number of the token in the text: each draws numbers of its own
 * Throws RangeError where every logit is -Infinity or NaN.
 */
export function sample(logits: Float32Array, sampling: Sampling, step: number): number {
  const likeliest = argmax(logits);
  if (!(logits[likeliest]! > -Infinity)) throw new RangeError('no token is allowed');
  if (isGreedy(sampling)) return likeliest;
  const { temperature, seed = 0 } = sampling;
  const least = cutoff(logits, sampling);
  const stream = streamOf(seed, step);
  let best = likeliest;
  let score = logits[best]! / temperature + gumbel(stream, best);
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!(logit >= least) || logit / temperature + mostGumbel < score) continue;
    const other = logit / temperature + gumbel(stream, id);
    if (other > score || (other === score && id < best)) [best, score] = [id, other];
  }
  return best;
}

/** One output of the PCG family: 32 bits to 32 bits (Jarzynski and Olano, Hash Functions for GPU Rendering, JCGT 2020). */
function hash(value: number): number {
  const state = (Math.imul(value, 747_796_405) + 2_891_336_453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277_803_737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** What all Gumbel numbers of one step of one seed have in common; a u32. */
export function streamOf(seed: number, step: number): number {
  return hash(hash(seed >>> 0) ^ step);
}

/**
 * -ln E with E exponentially distributed: E = -ln(1 - v), v uniform in (0, 1) from 32 bits. 1 - v is made from the inverted
 * bits, and E of small v from v itself, so that float32 gives the same number to its rounding at both ends.
 */
export function gumbel(stream: number, id: number): number {
  const bits = hash((stream ^ id) >>> 0);
  const v = (bits + 0.5) * 2 ** -32;
  return -Math.log(v < 1e-3 ? v + (v * v) / 2 : -Math.log((~bits >>> 0) * 2 ** -32 + 2 ** -33));
}
