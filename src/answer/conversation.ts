/** Several questions about the same sources, which are read once. */
import type { Device } from '../device/device.js';
import { encodeFollowUp, encodeQuestion, showsPages, type Prompt } from '../encode/prompt.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { IngestedSource } from '../ingest/segment.js';
import type { Context } from '../runtime/context.js';
import { defaultKv } from '../runtime/kv.js';
import type { Mark } from '../runtime/mark.js';
import { loadModel, type Model } from '../runtime/model.js';
import type { Answer, AskEvent, Plan } from './answer.js';
import { beforeLook, checkFits, prepare, type AskRequest, type Prepared } from './ask.js';
import type { Slices } from './extract.js';
import { encodeImages } from './images.js';
import { makeAnswer, secondLook } from './make-answer.js';
import { withPlaces } from './place-events.js';
import { PromptReader } from './prompt-reader.js';
import { slicesOf, write, type Written } from './reading.js';

export type ConversationRequest = Omit<AskRequest, 'question'>;

/**
 * A chat model reads its earlier answers too, so that questions may refer to them. An extractive model takes each question
 * alone, as `ask` does.
 */
export class Conversation {
  readonly sources: readonly IngestedSource[];
  readonly plan: Plan;
  readonly #prepared: Prepared;
  readonly #request: ConversationRequest;
  readonly #model: Model;
  readonly #context: Context;
  readonly #slices: Slices | undefined;
  /** Behind the documents. */
  readonly #start: Mark;
  /** Of the last answer, what the context has not read: its last token. */
  #unread: readonly number[] = [];

  private constructor(prepared: Prepared, request: ConversationRequest, model: Model, context: Context, documents: Prompt, start: Mark) {
    this.#prepared = prepared;
    this.#request = request;
    this.#model = model;
    this.#context = context;
    this.#slices = slicesOf(model, documents);
    this.#start = start;
    this.sources = prepared.sources;
    this.plan = prepared.plan;
  }

  /** Reads the sources. Emits what `ask` emits on the way. Errors: as `ask`. */
  static async open(request: ConversationRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Conversation> {
    const prepared = await prepare({ ...request, question: '' }, device, signal, emit);
    const { files, prompt, session, plan } = prepared;
    try {
      checkFits(plan);
      const model = await loadModel(files, device, { quantize: request.quantize, images: prompt.images !== undefined, signal });
      try {
        const documents = { ...prompt, ids: prompt.ids.subarray(0, prompt.sourceEnds.at(-1)) };
        const encode = (from: number, to: number): Promise<Float32Array[]> => encodeImages(model, (prompt.images ?? []).slice(from, to), signal, emit);
        const options = { session, encode, chunk: request.chunk, kv: request.kv ?? defaultKv };
        const reader = await PromptReader.open(model, documents, options, signal, withPlaces(prompt, prepared.sources, emit));
        try {
          await reader.readDocuments();
          return new Conversation(prepared, request, model, reader.context, documents, await reader.context.mark());
        } catch (error) {
          reader.context.close();
          throw error;
        }
      } catch (error) {
        await model.close();
        throw error;
      }
    } finally {
      await session?.close();
    }
  }

  /** Tokens of the documents, and of the dialogue behind them. */
  get tokens(): { readonly documents: number; readonly dialogue: number; readonly most: number } {
    const { length, config } = this.#context;
    return { documents: this.#start.length, dialogue: length - this.#start.length, most: config.maxPositions };
  }

  /** Bytes of keys and values. */
  get kvBytes(): number {
    return this.#context.kvBytes;
  }

  /** Forgets the dialogue; the documents stay. */
  forget(): void {
    this.#context.rewind(this.#start);
    this.#unread = [];
  }

  /**
   * Asks. Where it is interrupted, or fails, the conversation is as before. Emits what `ask` emits of a question.
   * Errors: LodestoneError(contextExceeded) where the dialogue is too long; the signal's reason.
   */
  async ask(question: string, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
    const [model, context] = [this.#model, this.#context];
    const request = { ...this.#request, question };
    const alone = model.config.prompt === 'qa';
    if (alone) this.forget();
    const before = { mark: alone ? this.#start : await context.mark(), unread: this.#unread };
    const first = context.length === this.#start.length;
    const asked = await (first ? encodeQuestion : encodeFollowUp)(model.config.prompt, question, model.tokenizer, showsPages(this.#prepared.prompt));
    const ids = Uint32Array.from([...this.#unread, ...asked]);
    const { most } = this.tokens;
    if (context.length + ids.length + request.maxTokens > most) {
      throw new LodestoneError(ExitCode.contextExceeded, `documents and dialogue take ${context.length + ids.length} tokens and the answer up to ${request.maxTokens}, but ${model.id} holds ${most}: forget the dialogue with /forget`);
    }
    try {
      const started = performance.now();
      const cached = context.length;
      const logits = await context.prefill(ids, { signal });
      const input = context.length;
      const prefilled = performance.now();
      this.#slices?.restart();
      const written: Written = await write(context, logits, model, request, this.#slices, signal, beforeLook(model, request, emit));
      const decodeMs = performance.now() - prefilled;
      const whole = { reading: written.reading, positions: context.length, cached, prefillMs: prefilled - started, decodeMs, kvBytes: context.kvBytes };
      const chosen = await secondLook(model, request, this.sources, written.reading, signal, emit);
      this.#unread = written.ids.slice(-1);
      const answer = makeAnswer({ ...this.#prepared, request, input, device: model.device, model, loadMs: 0, ingestMs: 0, whole, chosen });
      emit({ type: 'answer', answer });
      return answer;
    } catch (error) {
      context.rewind(before.mark);
      this.#unread = before.unread;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#context.close();
    await this.#model.close();
  }
}
