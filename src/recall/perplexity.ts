/**
 * How well a model foretells a text, by position: the cumulative negative log-likelihood of Gemini 1.5 (section 5.2.1.1,
 * figure 7), and the power law L(x) = a x^b + c that it follows where a context is used. A text that is read wrongly is foretold
 * worse long before anything in it is no longer found, so it also shows what needles can't.
 */
import { encodePlain } from '../encode/prompt.js';
import { Context } from '../runtime/context.js';
import { logProbability } from '../device/sampling.js';
import type { KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';

export interface LossOptions {
  readonly chunk?: number;
  readonly kv?: KvFormats;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * -ln of the probability of each token of `ids` but the first, after all that stand before it [ids.length - 1], in nats.
 * Errors: those of `Context.prefill`.
 */
export async function tokenLosses(model: Pick<Model, 'device' | 'weights' | 'config'>, ids: Uint32Array, options: LossOptions = {}): Promise<Float64Array> {
  const { chunk, kv, signal, onProgress } = options;
  const losses = new Float64Array(Math.max(0, ids.length - 1));
  if (losses.length === 0) return losses;
  const context = new Context(model, { positions: ids.length, ...(chunk === undefined ? {} : { chunk }), ...(kv ? { kv } : {}) });
  try {
    await context.prefill(ids.subarray(0, -1), {
      logits: false,
      eachLogits: (position, logits) => {
        losses[position] = -logProbability(logits, ids[position + 1]!);
      },
      ...(signal ? { signal } : {}),
      ...(onProgress ? { onProgress } : {}),
    });
  } finally {
    context.close();
  }
  return losses;
}

export interface HaystackLoss {
  readonly tokens: number;
  /** Mean, in nats a token. */
  readonly loss: number;
}

/** Tokens of a haystack that are enough to tell a runtime that computes rightly from one that does not. */
const HAYSTACK_TOKENS = 4096;

/** Of the beginning of a text. Errors: those of `Context.prefill`. */
export async function haystackLoss(model: Model, text: string, options: LossOptions = {}): Promise<HaystackLoss> {
  const most = Math.min(HAYSTACK_TOKENS, model.config.maxPositions);
  // No token is longer than this many characters in the mean, of any text.
  const ids = (await encodePlain(text.slice(0, 16 * most), model.tokenizer, options.signal)).subarray(0, most);
  const losses = await tokenLosses(model, ids, options);
  return { tokens: losses.length, loss: losses.reduce((sum, loss) => sum + loss, 0) / Math.max(1, losses.length) };
}

/** The mean loss of the first `tokens` tokens. */
export interface LossPoint {
  readonly tokens: number;
  /** Nats a token. */
  readonly loss: number;
  /** Texts that are so long; the mean is over them. */
  readonly texts: number;
}

/** Gemini's first. */
const FIRST_POINT = 128;

/** At powers of two, and at the end of the longest text. */
export function lossPoints(texts: readonly Float64Array[]): LossPoint[] {
  const longest = Math.max(0, ...texts.map(({ length }) => length));
  const lengths: number[] = [];
  for (let tokens = FIRST_POINT; tokens < longest; tokens *= 2) lengths.push(tokens);
  if (longest > 0) lengths.push(longest);
  const sums = texts.map(() => ({ at: 0, sum: 0 }));
  return lengths.map((tokens) => {
    const means = texts.flatMap((losses, i) => {
      if (losses.length < tokens) return [];
      const total = sums[i]!;
      for (; total.at < tokens; total.at++) total.sum += losses[total.at]!;
      return [total.sum / tokens];
    });
    return { tokens, loss: means.reduce((a, b) => a + b, 0) / means.length, texts: means.length };
  });
}

export interface PowerLaw {
  /** L(x) = a x^b + c, b < 0. */
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** 1 - the share of the variance that it leaves. */
  readonly r2: number;
}

/** As many unknowns as the law has, and one. */
const FEWEST_POINTS = 4;

/**
 * Least squares. For a given b the law is linear in a and c, so b alone is searched: on a grid, then by golden section around
 * its best. null for fewer than four points, or where nothing varies.
 */
export function fitPowerLaw(x: readonly number[], y: readonly number[]): PowerLaw | null {
  const n = x.length;
  const mean = y.reduce((sum, value) => sum + value, 0) / n;
  const variance = y.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  if (n < FEWEST_POINTS || variance === 0) return null;
  const solve = (b: number): PowerLaw & { readonly left: number } => {
    const u = x.map((value) => value ** b);
    const meanU = u.reduce((sum, value) => sum + value, 0) / n;
    const covariance = u.reduce((sum, value, i) => sum + (value - meanU) * (y[i]! - mean), 0);
    const a = covariance / u.reduce((sum, value) => sum + (value - meanU) ** 2, 0);
    const c = mean - a * meanU;
    const left = u.reduce((sum, value, i) => sum + (y[i]! - a * value - c) ** 2, 0);
    return { a, b, c, r2: 1 - left / variance, left };
  };
  const [least, most, step] = [-2, -0.01, 0.005];
  let best = solve(least);
  for (let k = 1; least + k * step <= most; k++) {
    const next = solve(least + k * step);
    if (next.left < best.left) best = next;
  }
  const golden = (Math.sqrt(5) - 1) / 2;
  let [low, high] = [best.b - step, Math.min(best.b + step, -1e-4)];
  for (let k = 0; k < 60; k++) {
    const [left, right] = [high - golden * (high - low), low + golden * (high - low)];
    if (solve(left).left < solve(right).left) high = right;
    else low = left;
  }
  const { a, b, c, r2 } = solve((low + high) / 2);
  return { a, b, c, r2 };
}
