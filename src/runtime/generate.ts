/** Decoding: one token after another, each with its log-probability. */
import type { Sampling } from '../device/sampling.js';
import { abortError } from '../errors.js';
import type { Context } from './context.js';
import { drawHere, type DrawnToken } from './draw-ahead.js';

export interface GenerateOptions {
  /** Default: greedy. */
  readonly sampling?: Sampling;
  /** Generation ends at any of these; they are not yielded. */
  readonly stop?: readonly number[];
  /** Default: what fits into the model's context. */
  readonly maxTokens?: number;
  /** Ids that may be generated; others are as if their logit were -Infinity. */
  readonly allowed?: ((id: number) => boolean) | undefined;
  readonly signal?: AbortSignal;
}

export type GeneratedToken = DrawnToken;

export interface GenerateEnd {
  /** A stop token, `maxTokens`, or the end of the model's context. */
  readonly reason: 'stop' | 'length' | 'context';
  readonly stopId?: number;
  /** Of the stop token. */
  readonly logProb?: number;
}

/**
 * Yields tokens that follow the context. `logits` are those of its last position (from `prefill` or `decode`). A token is
 * fed to the context when the next one is asked for, so at the end the last token (and a stop token) is not in it.
 * When the signal aborts, throws its reason. Throws RangeError where no id is allowed, LodestoneError(badModel) where the
 * logits are no numbers.
 */
export async function* generate(
  context: Context,
  logits: Float32Array,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, GenerateEnd> {
  const { sampling = { temperature: 0 }, stop = [], maxTokens = Infinity, allowed, signal } = options;
  if (maxTokens <= 0) return { reason: 'length' };
  if (signal?.aborted) throw abortError(signal);
  const first = drawHere(logits, sampling, 0, allowed);
  for (let { id, logProb } = first, count = 1; ; count++) {
    if (stop.includes(id)) return { reason: 'stop', stopId: id, logProb };
    yield { id, logProb };
    if (count >= maxTokens) return { reason: 'length' };
    if (context.length >= context.config.maxPositions) return { reason: 'context' };
    if (signal?.aborted) throw abortError(signal);
    // What is allowed depends on what was drawn, and only this side knows it.
    ({ id, logProb } = allowed
      ? drawHere(await context.decode(id, signal ? { signal } : {}), sampling, count, allowed)
      : await context.draw(id, { sampling, step: count, most: maxTokens - count, signal }));
  }
}
