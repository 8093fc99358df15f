/**
 * A context: the positions a model has read, as keys and values on the device.
 *
 * Two numbers describe it. `length` positions belong to it; the first `computed` of them have been through the graph.
 * They differ only after an abort in a model whose last layers are local (see `#computeFrom`).
 */
import type { Command, DeviceBuffer, View } from '../device/device.js';
import type { Sampling } from '../device/sampling.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import type { GemmaConfig } from '../gemma/config.js';
import { outputRanges, recordChunk, recordGuesses, recordSteps, type Activations, type OutputRanges, type Step, type Tap } from '../gemma/graph.js';
import { activationBuffers } from './activations.js';
import { DrawAhead, drawHere, drawnRecord, drawnTokens, type DrawnToken, type DrawOptions } from './draw-ahead.js';
import { CheckedGuesses, guess } from './guess.js';
import { chunkSize, defaultChunk, defaultKv, KvCaches, pageSlots, wholePages, type KvFormats, type KvRows, type PageInFile } from './kv.js';
import { Rewrites, type Mark } from './mark.js';
import type { Model } from './model.js';
import { createRope, fillRope, type Rope } from './rope.js';
import { placeBlocks, type Block } from './both-ways.js';

export interface ContextOptions {
  /** The most positions per submit. Results do not depend on it; memory and how soon an abort is seen do. */
  readonly chunk?: number;
  /** How many positions will be read, where that is known: memory for a chunk is not larger than they need. */
  readonly positions?: number;
  /** How keys and values are stored. Default: `defaultKv`. */
  readonly kv?: Partial<KvFormats>;
}

/** Values of the residual stream that `PrefillOptions.tap` shows: `rows` [n, hiddenSize] of positions from `start` on. */
export type StateTap = (name: number | 'final', start: number, rows: Float32Array) => void;

export interface PrefillOptions {
  readonly signal?: AbortSignal;
  /** After every chunk: positions done and to do in this call. */
  readonly onProgress?: (done: number, total: number) => void;
  /**
   * Soft tokens [tokensPerImage, hiddenSize] of the images in `tokens`, in their order. The ids of an image are so many of
   * the config's `tokens.soft`, and other ids stand between two images.
   */
  readonly images?: readonly Float32Array[];
  /**
   * How many of `tokens`, from the first on, see each other both ways, as an image's do (default: none). They are read whole or
   * not at all, so no more than a chunk holds, and there are no images among them.
   */
  readonly bothWays?: number;
  /** Default true. false: what only the logits need isn't computed. */
  readonly logits?: boolean;
  /** Shows the logits [vocabSize] that follow each of `tokens`, by the token's position. What only they need is computed too. */
  readonly eachLogits?: (position: number, logits: Float32Array) => void;
  /** For tests: shows every layer's output at every position (0 is the embedding), which must all be computed then. */
  readonly tap?: StateTap;
}

/** The most that the logits of several positions take at a time, in bytes. */
const LOGITS_BYTES = 16 * 2 ** 20;

/** Keys and values that `Context.save` gives: of a local layer those of its ring that matter, of a global one a page of `pageSlots` positions. */
export interface SavedRows {
  readonly layer: number;
  readonly rows: KvRows;
}

/** Where a context stands. */
export interface Standing {
  readonly length: number;
  /** Per layer: K and V from this position on are stored. */
  readonly storedFrom: readonly number[];
}

export class Context {
  readonly config: GemmaConfig;
  /** The most positions per submit. */
  readonly chunk: number;
  readonly kv: KvFormats;
  readonly #model: Pick<Model, 'device' | 'weights' | 'config'>;
  readonly #caches: KvCaches;
  readonly #activations: Activations;
  readonly #buffers: DeviceBuffer[] = [];
  /** Made when it is first needed. */
  #manyLogits: DeviceBuffer | null = null;
  readonly #ropeLocal: Rope;
  readonly #ropeGlobal: Rope | null;
  #ids = new Uint32Array(1024);
  /** In ascending order; kept, since an interrupted reading may have to go over them again. */
  #blocks: Block[] = [];
  #length = 0;
  #computed = 0;
  /** Per layer: K and V of positions [storedFrom, computed) are stored (of a ring, those it still holds). At most computed. */
  #storedFrom: number[];
  #busy = false;
  /** Steps of decoding that the device has been given already, or made; of no use once anything else is read. */
  #ahead: DrawAhead | CheckedGuesses | null = null;
  /** Per mark: when it was made, by the clocks of `#replaced` and `#rewritten`. */
  readonly #marks = new WeakMap<Mark, { readonly replaced: number; readonly rewritten: number }>();
  /** Positions that got other ids, and the end of those that ever had one. */
  readonly #replaced = new Rewrites();
  #idsEnd = 0;
  /** Positions whose slots in global layers were written again, if only with the same, and the end of those written. */
  readonly #rewritten = new Rewrites();
  #writtenEnd = 0;

  /** Allocates rings and activations. Throws LodestoneError(outOfMemory), and (usage) where `kv` does not fit the model's heads. */
  constructor(model: Pick<Model, 'device' | 'weights' | 'config'>, options: ContextOptions = {}) {
    const { device, config } = model;
    const chunk = options.chunk ?? defaultChunk;
    if (!Number.isSafeInteger(chunk) || chunk < 1) throw new RangeError(`chunk is ${chunk}, not a positive whole number`);
    this.#model = model;
    this.config = config;
    this.chunk = chunkSize(chunk, config, options.positions);
    this.kv = { ...defaultKv, ...options.kv };
    this.#storedFrom = config.layers.map(() => 0);
    this.#ropeLocal = createRope(config.headDim, config.ropeLocalBase);
    this.#ropeGlobal = config.ropeGlobal && createRope(config.headDim, config.ropeGlobal.base, config.ropeGlobal.factor);
    this.#caches = new KvCaches(device, config, this.chunk, this.kv, options.positions);
    try {
      this.#activations = this.#createActivations();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Positions in the context. */
  get length(): number {
    return this.#length;
  }

  /** The ids read so far [length]. */
  get tokens(): Uint32Array {
    return this.#ids.slice(0, this.#length);
  }

  /** Bytes of keys and values held now; `kvBytes` in kv.ts tells them beforehand. */
  get kvBytes(): number {
    return this.#caches.bytes;
  }

  /**
   * Reads tokens. Returns the logits [vocabSize] of the last one, or null where they were not asked for.
   *
   * Aborted, it rejects with the signal's reason, and the context stays at the last completed chunk: reading the rest
   * (or anything else) gives what it would have given without the abort, bit for bit.
   *
   * Chunks do not cut images and what is read both ways: it is read whole or not at all, after an abort too.
   *
   * Errors: LodestoneError(contextExceeded) before anything is computed, LodestoneError(outOfMemory). RangeError, and nothing
   * is read, where the tokens are not those of the model, the images not those of the tokens, or `bothWays` out of bounds.
   */
  async prefill(tokens: ArrayLike<number>, options: PrefillOptions & { readonly logits: false }): Promise<null>;
  async prefill(tokens: ArrayLike<number>, options?: PrefillOptions & { readonly logits?: true }): Promise<Float32Array>;
  async prefill(tokens: ArrayLike<number>, options: PrefillOptions = {}): Promise<Float32Array | null> {
    return this.#exclusively(() => this.#prefill(tokens, options));
  }

  /** Reads one token and returns the logits [vocabSize] that follow it. */
  decode(token: number, options: { readonly signal?: AbortSignal } = {}): Promise<Float32Array> {
    return this.prefill([token], options);
  }

  /**
   * Reads one token and draws the one that follows it, on the device: the logits stay there. While token after token is
   * drawn with the same `sampling` and `signal`, the device may be some steps ahead of what the context holds, or have read
   * some tokens at once that were guessed rightly; that shows nowhere but in the time it takes.
   */
  draw(token: number, options: DrawOptions): Promise<DrawnToken> {
    return this.#exclusively(() => this.#draw(token, options));
  }

  /** A mark of the place where the context is. It holds while this place is part of what the context has read. */
  mark(): Promise<Mark> {
    return this.#exclusively(async () => {
      const computed = this.#computed;
      const rings = await Promise.all(this.config.layers.map(async ({ kind }, l) => (kind === 'local' ? this.#readRing(l) : null)));
      const bytes = rings.reduce((sum, ring) => sum + (ring ? ring.k.length + ring.v.length : 0), 0);
      const mark: Mark = { length: this.#length, computed, storedFrom: [...this.#storedFrom], rings, bytes };
      this.#marks.set(mark, { replaced: this.#replaced.now(), rewritten: this.#rewritten.now() });
      return mark;
    });
  }

  /**
   * Goes back to a mark, as often as wanted: what is read next gives, bit for bit, what it would give in a context that
   * had read only so far. Marks of later places hold until something else is read.
   * Throws RangeError where the mark is another context's, or the context has gone back before it and read on since.
   */
  rewind(mark: Mark): void {
    if (this.#busy) throw new Error('this context is already reading');
    const made = this.#marks.get(mark);
    if (!made) throw new RangeError('this mark is not of this context');
    if (this.#replaced.lowestSince(made.replaced) < mark.length) {
      throw new RangeError(`this mark of ${mark.length} positions is of a text that the context has replaced`);
    }
    this.#ahead = null;
    this.#length = mark.length;
    if (this.#rewritten.lowestSince(made.rewritten) < mark.computed) {
      // An interrupted reading of the same positions may have left them undefined: they are read again.
      this.#computed = 0;
      this.#storedFrom.fill(0);
      return;
    }
    this.#computed = mark.computed;
    this.#storedFrom = [...mark.storedFrom];
    for (const [l, rows] of mark.rings.entries()) if (rows) this.#caches.writeRows(l, rows);
  }

  /**
   * What has to be kept of the positions read, and of those from `from` on, to go on from here in another context
   * (`resume`), layer by layer, global ones in whole pages: what they hold of other positions is given too, and means
   * nothing beyond the context's end. Nothing may be read meanwhile.
   */
  async *save(from: number): AsyncGenerator<SavedRows, void> {
    if (this.#busy) throw new Error('this context is already reading');
    this.#busy = true;
    try {
      for (const [layer, { kind }] of this.config.layers.entries()) {
        if (kind === 'local') yield { layer, rows: await this.#readRing(layer) };
        else {
          const pages = wholePages(Math.min(from, this.#computed), this.#computed);
          for (let at = pages.from; at < pages.to; at += pageSlots) yield { layer, rows: await this.#caches.readRows(layer, at, at + pageSlots) };
        }
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Where the context stands, for `resume`; null after an interruption that has left positions to be read again. */
  standing(): Standing | null {
    return this.#computed === this.#length ? { length: this.#length, storedFrom: [...this.#storedFrom] } : null;
  }

  /**
   * Puts rows that `save` gave into a context that has read nothing yet. They count once `resume` says so.
   */
  restore({ layer, rows }: SavedRows): void {
    if (this.#busy || this.#length > 0) throw new Error('rows are restored in a context that has read nothing');
    this.#caches.grow(rows.to);
    this.#caches.writeRows(layer, rows);
  }

  /** The same for a page of a global layer, from position `from` on, that lies in a file. False where it has to be read and given to `restore`. */
  restorePage(layer: number, from: number, page: PageInFile): boolean {
    if (this.#busy || this.#length > 0) throw new Error('rows are restored in a context that has read nothing');
    return this.#caches.mapPage(layer, from, page);
  }

  /**
   * Stands where another context stood, as if it had read these tokens: its rows have been restored. What is read next
   * gives, bit for bit, what it would have given there, if model, kind of device and formats are the same.
   * Throws as `prefill` does where the tokens are not the model's.
   */
  resume(tokens: ArrayLike<number>, images: readonly Float32Array[], { length, storedFrom }: Standing): void {
    if (this.#busy || this.#length > 0) throw new Error('a context resumes only before it has read anything');
    if (tokens.length !== length || storedFrom.length !== this.config.layers.length) throw new RangeError(`${tokens.length} tokens of a standing of ${length}`);
    this.#appendIds(tokens, images, 0);
    this.#length = length;
    this.#computed = length;
    this.#writtenEnd = length;
    this.#storedFrom = [...storedFrom];
  }

  /** Bytes that `save` gives of each position of a layer. */
  rowBytes(layer: number): number {
    return 2 * this.#caches.rowBytes(layer);
  }

  /** Gives the memory back. The context can't be used afterwards. */
  close(): void {
    this.#caches.close();
    for (const buffer of this.#buffers.splice(0)) this.#model.device.destroyBuffer(buffer);
  }

  /** What a query at `computed` or later can see of a ring. */
  #readRing(layer: number): Promise<KvRows> {
    const end = this.#computed;
    return this.#caches.readRows(layer, Math.max(0, end - (this.config.window - 1)), end);
  }

  async #exclusively<T>(task: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new Error('this context is already reading');
    this.#busy = true;
    try {
      return await task();
    } finally {
      this.#busy = false;
    }
  }

  async #prefill(tokens: ArrayLike<number>, options: PrefillOptions): Promise<Float32Array | null> {
    const { config } = this;
    const { signal, onProgress, logits = true, eachLogits, tap } = options;
    const end = this.#length + tokens.length;
    if (tokens.length === 0) throw new RangeError('no tokens to read');
    if (end > config.maxPositions) {
      throw new LodestoneError(
        ExitCode.contextExceeded,
        `${end} tokens are more than the ${config.maxPositions} that the model's context holds`,
      );
    }
    if (signal?.aborted) throw abortError(signal);
    this.#ahead = null;
    this.#appendIds(tokens, options.images ?? [], options.bothWays ?? 0);
    this.#caches.grow(end);

    const ranges = tap ? everything(config) : outputRanges(config, end, eachLogits ? tokens.length : logits ? 1 : 0);
    this.#computed = this.#computeFrom(ranges);
    if (this.#computed === 0) this.#storedFrom.fill(0);
    const from = this.#computed;
    this.#noteWritten(from, end);
    while (this.#computed < end) {
      if (signal?.aborted) throw abortError(signal);
      const start = this.#computed;
      const rows = this.#chunkEnd(start, end) - start;
      await this.#computeChunk(start, rows, ranges, logits && start + rows === end, signal, tap);
      if (eachLogits) await this.#showLogits(start, Math.max(start, end - tokens.length), start + rows, eachLogits, signal);
      this.#noteStored(start, rows, ranges);
      this.#computed = start + rows;
      this.#length = Math.max(this.#length, this.#computed);
      onProgress?.(this.#computed - from, end - from);
    }
    return logits ? this.#readLogits() : null;
  }

  async #computeChunk(
    start: number,
    rows: number,
    ranges: OutputRanges,
    logits: boolean,
    signal: AbortSignal | undefined,
    tap: StateTap | undefined,
  ): Promise<void> {
    const { device, weights } = this.#model;
    const activations = this.#activations;
    device.write(activations.ids, this.#ids.subarray(start, start + rows));
    this.#writeRopes(start, rows);

    const taps: { name: number | 'final'; view: View; at: number }[] = [];
    const note: Tap = (name, view, at) => taps.push({ name, view, at });
    const blocks = this.#blocks.filter(({ from }) => from >= start && from < start + rows);
    const images = blocks.filter(({ soft }) => soft !== null);
    for (const { from, soft } of images) {
      const { buffer, offset } = activations.x;
      device.write({ buffer, offset: offset + (from - start) * this.config.hiddenSize * Float32Array.BYTES_PER_ELEMENT }, soft!);
    }
    const chunk = { start, rows, ranges, logits, images, blocks };
    const commands = recordChunk(this.config, weights, this.#caches.layers, activations, chunk, tap && note);
    if (!tap) return device.submit(commands, signal);

    let done = 0;
    for (const { name, view, at } of taps) {
      await device.submit(commands.slice(done, at), signal);
      done = at;
      const bytes = await device.read(view, rows * this.config.hiddenSize * Float32Array.BYTES_PER_ELEMENT);
      tap(name, start, new Float32Array(bytes.buffer));
    }
    await device.submit(commands.slice(done), signal);
  }

  async #draw(token: number, options: DrawOptions): Promise<DrawnToken> {
    const start = this.#length;
    if (start >= this.config.maxPositions || this.#computeFrom(outputRanges(this.config, start + 1, 1)) !== start) {
      const logits = await this.#prefill([token], options.signal ? { signal: options.signal } : {});
      return drawHere(logits!, options.sampling, options.step);
    }
    const going = this.#ahead?.continues(start, token, options) ? this.#ahead : null;
    this.#ahead = null;
    this.#appendIds([token], [], 0);
    const ahead = going ?? (await this.#drawGuessed(token, options)) ?? this.#startAhead(token, options);
    const drawn = await ahead.next(options.most);
    this.#length = this.#computed = start + 1;
    this.#ahead = ahead;
    return drawn;
  }

  /** Draws after `token` and after what may follow it; null where nothing is guessed, or the device runs ahead by itself. */
  async #drawGuessed(token: number, options: DrawOptions): Promise<CheckedGuesses | null> {
    const { device, weights } = this.#model;
    const start = this.#length;
    const most = Math.min(options.most, this.chunk, this.config.maxPositions - start) - 1;
    if (device.decodeSteps > 1 || most < 1) return null;
    const guesses = guess(this.#ids.subarray(0, start + 1), most);
    if (guesses.length === 0) return null;
    const rows = 1 + guesses.length;
    this.#prepareToWrite(start, rows);
    device.write(this.#activations.ids, Uint32Array.of(token, ...guesses));
    const { sampling, step, signal } = options;
    const drawn = Array.from({ length: rows }, (_, row) => drawnRecord(this.#activations.drawn, row));
    await device.submit(recordGuesses(this.config, weights, this.#caches.layers, this.#activations, { start, drawn, number: step }, sampling), signal);
    return new CheckedGuesses(start, token, guesses, await drawnTokens(device, drawn[0]!, rows), options);
  }

  #startAhead(token: number, options: DrawOptions): DrawAhead {
    const { maxPositions } = this.config;
    const place = {
      device: this.#model.device,
      records: this.#activations.drawn,
      // So far a ring keeps what a query at the context's end still sees.
      room: this.chunk,
      maxPositions,
      record: (steps: readonly Step[], sampling: Sampling) => this.#recordSteps(steps, sampling),
    };
    return new DrawAhead(place, this.#length, token, options);
  }

  #recordSteps(steps: readonly Step[], sampling: Sampling): Command[] {
    this.#prepareToWrite(steps[0]!.position, steps.length);
    return recordSteps(this.config, this.#model.weights, this.#caches.layers, this.#activations, steps, sampling);
  }

  /** Memory and rotary tables for positions that are drawn at. */
  #prepareToWrite(start: number, rows: number): void {
    this.#caches.grow(start + rows);
    this.#noteWritten(start, start + rows);
    this.#writeRopes(start, rows);
  }

  #noteWritten(from: number, end: number): void {
    if (from < this.#writtenEnd) this.#rewritten.record(from);
    this.#writtenEnd = end;
  }

  /** Of positions from .. to - 1 of the chunk that begins at `start` and was just computed, a few at a time. */
  async #showLogits(start: number, from: number, to: number, show: NonNullable<PrefillOptions['eachLogits']>, signal: AbortSignal | undefined): Promise<void> {
    const { device, weights } = this.#model;
    const { hiddenSize, vocabSize } = this.config;
    const rowBytes = vocabSize * Float32Array.BYTES_PER_ELEMENT;
    const most = Math.max(1, Math.min(this.chunk, Math.floor(LOGITS_BYTES / rowBytes)));
    if (!this.#manyLogits) this.#buffers.push((this.#manyLogits = device.createBuffer(most * rowBytes, 'logits of several positions')));
    const { buffer, offset } = this.#activations.normed;
    const out = { buffer: this.#manyLogits, offset: 0 };
    for (let at = from; at < to; at += most) {
      const rows = Math.min(most, to - at);
      const x = { buffer, offset: offset + (at - start) * hiddenSize * Float32Array.BYTES_PER_ELEMENT };
      await device.submit([{ op: 'matMul', x, rows, parts: [{ weight: weights.head, out }] }], signal);
      const bytes = await device.read(out, rows * rowBytes);
      for (let r = 0; r < rows; r++) show(at + r, new Float32Array(bytes.buffer, r * rowBytes, vocabSize));
    }
  }

  /**
   * Where to go on. Normally at `computed`. But an aborted prefill may have skipped, in the local layers above the last
   * global one, positions that its own end would not have needed and the new end does. What they are made of is gone
   * from the rings, so everything is then read again.
   */
  #computeFrom({ outFrom }: OutputRanges): number {
    const { layers, window } = this.config;
    const complete = layers.every(({ kind }, l) => {
      const firstQuery = Math.max(outFrom[l]!, this.#computed);
      const firstKey = kind === 'global' ? 0 : Math.max(0, firstQuery - (window - 1));
      return this.#storedFrom[l]! <= firstKey;
    });
    return complete ? this.#computed : 0;
  }

  /** Where the chunk that begins at `start` ends: before a block that it can't hold whole. */
  #chunkEnd(start: number, end: number): number {
    const most = Math.min(start + this.chunk, end);
    const cut = this.#blocks.find(({ from, to }) => from < most && most < to);
    return cut ? cut.from : most;
  }

  #noteStored(start: number, rows: number, { kvFrom }: OutputRanges): void {
    for (const [l, from] of kvFrom.entries()) if (from > start) this.#storedFrom[l] = Math.min(from, start + rows);
  }

  #appendIds(tokens: ArrayLike<number>, images: readonly Float32Array[], bothWays: number): void {
    const blocks = placeBlocks(tokens, images, bothWays, this.#length, this.chunk, this.config);
    const end = this.#length + tokens.length;
    if (this.#length < this.#idsEnd) this.#replaced.record(this.#length);
    this.#idsEnd = end;
    this.#blocks = [...this.#blocks.filter(({ to }) => to <= this.#length), ...blocks];
    if (end > this.#ids.length) {
      const longer = new Uint32Array(Math.max(end, 2 * this.#ids.length));
      longer.set(this.#ids.subarray(0, this.#length));
      this.#ids = longer;
    }
    for (let i = 0; i < tokens.length; i++) this.#ids[this.#length + i] = tokens[i]!;
  }

  #writeRopes(start: number, rows: number): void {
    const write = (rope: Rope, to: View): void => {
      const table = new Float32Array(rows * rope.headDim);
      fillRope(rope, start, rows, table);
      this.#model.device.write(to, table);
    };
    write(this.#ropeLocal, this.#activations.ropeLocal);
    if (this.#ropeGlobal) write(this.#ropeGlobal, this.#activations.ropeGlobal);
  }

  #createActivations(): Activations {
    const views: Partial<Record<keyof Activations, View>> = {};
    for (const [name, { bytes, label }] of Object.entries(activationBuffers(this.config, this.chunk))) {
      const buffer = this.#model.device.createBuffer(bytes, label);
      this.#buffers.push(buffer);
      views[name as keyof Activations] = { buffer, offset: 0 };
    }
    return views as Activations;
  }

  async #readLogits(): Promise<Float32Array> {
    const bytes = await this.#model.device.read(this.#activations.logits, this.config.vocabSize * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(bytes.buffer);
  }
}

/** Every output of every layer. */
function everything({ layers }: GemmaConfig): OutputRanges {
  return { kvFrom: layers.map(() => 0), outFrom: layers.map(() => 0) };
}
