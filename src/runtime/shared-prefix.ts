/** Texts that begin alike, read one after another: each only from about where it first differs from the one before. */
import { Context, type ContextOptions, type PrefillOptions } from './context.js';
import { kvBytes } from './kv.js';
import type { Mark } from './mark.js';
import type { Model } from './model.js';

/** Marks in a text, and the most that their rings may take together, in bytes. */
const MOST_MARKS = 16;
const MARK_BYTES = 256 * 2 ** 20;

export interface PrefixReading {
  /** Positions that were there already. */
  readonly reused: number;
  /** At the text's end. It holds until another text is read. */
  readonly end: Mark;
}

/** How many elements two lists have in common at their beginnings. */
function commonLength(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}

export class SharedPrefix {
  readonly context: Context;
  readonly #mostMarks: number;
  /** In ascending order; the first is the empty context's. */
  #marks: Mark[] = [];

  constructor(model: Pick<Model, 'device' | 'weights' | 'config'>, options: Omit<ContextOptions, 'positions'> = {}) {
    this.context = new Context(model, options);
    const rings = kvBytes(model.config, 0, this.context.chunk, this.context.kv).local;
    this.#mostMarks = Math.max(1, Math.min(MOST_MARKS, Math.floor(MARK_BYTES / Math.max(1, rings))));
  }

  /**
   * The context holds `ids` afterwards, and what it gives from there on is, bit for bit, what it gives after reading them
   * anew. Errors and aborts as `Context.prefill`.
   */
  async read(ids: Uint32Array, { signal, onProgress }: Pick<PrefillOptions, 'signal' | 'onProgress'> = {}): Promise<PrefixReading> {
    const { context } = this;
    if (this.#marks.length === 0) this.#marks.push(await context.mark());
    const common = commonLength(context.tokens, ids);
    this.#marks = this.#marks.filter(({ length }) => length <= common);
    context.rewind(this.#marks.at(-1)!);
    const reused = context.length;
    const step = context.chunk * Math.ceil(ids.length / this.#mostMarks / context.chunk);
    for (let from = reused; from < ids.length; from = context.length) {
      const to = Math.min(ids.length, (Math.floor(from / step) + 1) * step);
      await context.prefill(ids.subarray(from, to), {
        logits: false,
        ...(signal ? { signal } : {}),
        ...(onProgress ? { onProgress: (done) => onProgress(from + done, ids.length) } : {}),
      });
      this.#marks.push(await context.mark());
    }
    return { reused, end: this.#marks.at(-1)! };
  }

  /** How many positions of `ids` would not have to be read again. */
  reusable(ids: ArrayLike<number>): number {
    const common = commonLength(this.context.tokens, ids);
    return this.#marks.findLast(({ length }) => length <= common)?.length ?? 0;
  }

  close(): void {
    this.context.close();
  }
}
