/** How fast a model reads on this machine, so that a budget in seconds can be planned with. */
import type { ReadRequest } from '../answer/reading.js';
import { encodePlain } from '../encode/prompt.js';
import { Context } from '../runtime/context.js';
import type { Model } from '../runtime/model.js';

/** Few enough for a large model on a slow machine. */
const TRIED = 48;

/** Tokens per second, from the beginning of a text. Errors: the signal's reason. */
export async function measureRate(model: Model, request: Pick<ReadRequest, 'chunk'>, text: string, signal: AbortSignal): Promise<number> {
  const ids = (await encodePlain(text.slice(0, 8 * TRIED), model.tokenizer, signal)).subarray(0, TRIED);
  const context = new Context(model, { chunk: request.chunk, positions: ids.length });
  try {
    const started = performance.now();
    await context.prefill(ids, { signal });
    return (ids.length / Math.max(0.1, performance.now() - started)) * 1e3;
  } finally {
    context.close();
  }
}
