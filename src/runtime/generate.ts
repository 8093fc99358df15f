/** Decoding: one token after another, each with its log-probability. */
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { createRandom } from '../random.js';
import type { Context } from './context.js';
import { logSumExp, sample, type Sampling } from './sampler.js';

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

export interface GeneratedToken {
  readonly id: number;
  /** ln of the token's probability in the model's own distribution, before temperature and filters. */
  readonly logProb: number;
}

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
  const random = createRandom(sampling.seed ?? 0);
  let current = logits;
  for (let count = 0; count < maxTokens; count++) {
    if (signal?.aborted) throw abortError(signal);
    if (!current.some((logit) => logit > -Infinity)) {
      throw new LodestoneError(ExitCode.badModel, "the model's logits are not numbers; are its weights damaged?");
    }
    const permitted = allowed ? current.map((logit, id) => (allowed(id) ? logit : -Infinity)) : current;
    const id = sample(permitted, sampling, random());
    const logProb = logProbability(current, id);
    if (stop.includes(id)) return { reason: 'stop', stopId: id, logProb };
    yield { id, logProb };
    if (count + 1 === maxTokens) break;
    if (context.length >= context.config.maxPositions) return { reason: 'context' };
    current = await context.decode(id, signal ? { signal } : {});
  }
  return { reason: 'length' };
}

/** ln softmax(logits)[id]. */
export function logProbability(logits: Float32Array, id: number): number {
  return logits[id]! - logSumExp(logits);
}

/** softmax(logits)[id]: for instance how probable it is that the first token says "absent". */
export function tokenProbability(logits: Float32Array, id: number): number {
  return Math.exp(logProbability(logits, id));
}
