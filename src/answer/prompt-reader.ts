/** A prompt goes into a context: what a session has of it is restored, the rest is read, and kept for the next time. */
import type { Prompt } from '../encode/prompt.js';
import { Context, type ContextOptions } from '../runtime/context.js';
import type { Model } from '../runtime/model.js';
import { imagesBefore, imageTokens } from '../sessions/prefix.js';
import type { Session } from '../sessions/session.js';
import type { AskEvent } from './answer.js';
import { prefillEvents } from './prefill-events.js';

export interface ReaderOptions extends ContextOptions {
  /** Of the prompt's documents. Default: nothing is restored or kept. */
  readonly session?: Session | undefined;
  /** Soft tokens of the prompt's images from .. to - 1. */
  readonly encode?: (from: number, to: number) => Promise<Float32Array[]>;
}

export class PromptReader {
  readonly context: Context;
  /** Positions that a session had. */
  cached = 0;
  readonly #prompt: Prompt;
  readonly #session: Session | undefined;
  readonly #signal: AbortSignal;
  readonly #emit: (event: AskEvent) => void;
  /** Of the part of the prompt that no session had. */
  #progress: ReturnType<typeof prefillEvents> = () => undefined;
  /** Soft tokens of all images. */
  #images: Float32Array[] = [];
  #imagesRead = 0;

  private constructor(context: Context, prompt: Prompt, session: Session | undefined, signal: AbortSignal, emit: (event: AskEvent) => void) {
    this.context = context;
    this.#prompt = prompt;
    this.#session = session;
    this.#signal = signal;
    this.#emit = emit;
  }

  /** Makes the context and restores what there is. `context.close` gives the memory back. Emits image and warning events. */
  static async open(model: Pick<Model, 'device' | 'weights' | 'config'>, prompt: Prompt, options: ReaderOptions, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<PromptReader> {
    const { session, encode = async () => [], ...contextOptions } = options;
    const total = prompt.images?.length ?? 0;
    const known = session?.images ?? 0;
    // Before there is a context: the vision tower takes memory too, and gives it back.
    const soft = await encode(known, total);
    const context = new Context(model, contextOptions);
    try {
      const reader = new PromptReader(context, prompt, session, signal, emit);
      const found = (await session?.restore(context)) ?? { length: 0, images: [] };
      reader.cached = found.length;
      reader.#imagesRead = found.images.length;
      reader.#images = [...found.images, ...(await encode(found.images.length, known)), ...soft];
      reader.#progress = prefillEvents(emit, prompt.ids.length);
      return reader;
    } catch (error) {
      context.close();
      throw error;
    }
  }

  /** Reads the documents. Emits prefill and warning events. */
  async readDocuments(): Promise<void> {
    await this.#readToStops();
    const end = this.#prompt.sourceEnds.at(-1) ?? 0;
    if (this.context.length < end) await this.#readTo(end, false);
  }

  /** Reads the whole prompt. Returns the logits [vocabSize] of its last token. Emits prefill and warning events. */
  async read(): Promise<Float32Array> {
    await this.#readToStops();
    return (await this.#readTo(this.#prompt.ids.length, true))!;
  }

  /** Reads as far as the session wants to keep. */
  async #readToStops(): Promise<void> {
    for (const stop of this.#session?.stops(this.context) ?? []) {
      const from = this.context.length;
      try {
        await this.#readTo(stop, false);
      } finally {
        // Also what an interruption has left: the next run goes on from there.
        await this.#keep(from);
      }
    }
  }

  async #readTo(end: number, logits: boolean): Promise<Float32Array | null> {
    const { context } = this;
    const ids = this.#prompt.ids.subarray(context.length, end);
    const count = imagesBefore(ids, ids.length, imageTokens(context.config));
    const images = this.#images.slice(this.#imagesRead, this.#imagesRead + count);
    const onProgress = (done: number, total: number): void => {
      // What an interruption had left may not do, and then all of it is read again.
      this.cached = Math.max(0, Math.min(this.cached, end - total));
      this.#progress(end - total + done, this.cached);
    };
    const options = { signal: this.#signal, images, onProgress };
    const result = logits ? await context.prefill(ids, options) : await context.prefill(ids, { ...options, logits: false });
    this.#imagesRead += count;
    return result;
  }

  async #keep(from: number): Promise<void> {
    try {
      await this.#session!.save(this.context, from, this.#images);
    } catch (error) {
      this.#emit({ type: 'warning', message: `what was read could not be kept for the next question (${(error as Error).message})` });
    }
  }
}
