/** The model reads and answers: everything once, then single passages (second-look.ts says why). */
import { ABSENT_TOKEN, encodeDocuments, encodeQuestion, joinPrompt, parseAnswer, type Prompt } from '../encode/prompt.js';
import type { IngestedSource, Segment } from '../ingest/segment.js';
import { Context } from '../runtime/context.js';
import { generate } from '../runtime/generate.js';
import { defaultKv, type KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import type { Sampling } from '../device/sampling.js';
import type { SharedPrefix } from '../runtime/shared-prefix.js';
import type { AskEvent } from './answer.js';
import { Slices } from './extract.js';
import { relatedPassages } from './passages.js';
import { prefillEvents } from './prefill-events.js';
import { PromptReader, type ReaderOptions } from './prompt-reader.js';
import { passageCharacters, type Reading } from './second-look.js';

export interface ReadRequest {
  readonly question: string;
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** Positions per submit. */
  readonly chunk: number;
  /** How keys and values are stored. Default: `defaultKv`. */
  readonly kv?: KvFormats;
  /** How many passages of each length to read again; 0: none. Only extractive models (prompt style qa) do. */
  readonly looks: number;
}

export interface WholeReading {
  readonly reading: Reading;
  /** Positions in the context at the end. */
  readonly positions: number;
  /** Of them, those that a session had. */
  readonly cached: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** Bytes of keys and values held at the end. */
  readonly kvBytes: number;
}

/** Positions of the whole run. */
export function runLength(prompt: Prompt, request: Pick<ReadRequest, 'maxTokens'>): number {
  return prompt.ids.length + request.maxTokens;
}

/** Reads a prompt from its first token to its last, or from where a session ends, and answers. Emits prefill and token events. */
export async function readEverything(
  model: Model,
  request: Omit<ReadRequest, 'question'>,
  prompt: Prompt,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
  from: Pick<ReaderOptions, 'session' | 'encode'> = {},
): Promise<WholeReading> {
  const started = performance.now();
  const options = { ...from, chunk: request.chunk, positions: runLength(prompt, request), kv: request.kv ?? defaultKv };
  const reader = await PromptReader.open(model, prompt, options, signal, emit);
  const { context, cached } = reader;
  try {
    const logits = await reader.read();
    const prefilled = performance.now();
    const { reading } = await write(context, logits, model, request, slicesOf(model, prompt), signal, emit);
    const decodeMs = performance.now() - prefilled;
    return { reading, positions: context.length, cached, prefillMs: prefilled - started, decodeMs, kvBytes: context.kvBytes };
  } finally {
    context.close();
  }
}

export interface ManyReadings {
  /** One per question, in their order. */
  readonly readings: readonly Reading[];
  /** Tokens that went through the model before the answers, documents and questions. */
  readonly tokensRead: number;
  /** Tokens of the documents whose keys and values were there from the documents before. */
  readonly tokensReused: number;
  /** For `tokensRead`. */
  readonly prefillMs: number;
  readonly decodeMs: number;
  /** The most bytes of keys and values held. */
  readonly kvBytes: number;
}

/**
 * Reads documents (`encodeDocuments`), as far as `prefix` does not hold them, and answers what each of `ends`
 * (`encodeQuestion`) asks as if it were the only one. Emits prefill events of the documents.
 */
export async function answerEach(
  model: Model,
  request: Pick<ReadRequest, 'sampling' | 'maxTokens'>,
  documents: Pick<Prompt, 'ids' | 'sourceTokens'>,
  ends: readonly Uint32Array[],
  prefix: SharedPrefix,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<ManyReadings> {
  const { context } = prefix;
  const readings: Reading[] = [];
  let started = performance.now();
  const progress = prefillEvents(emit, documents.ids.length);
  const { reused, end } = await prefix.read(documents.ids, { signal, onProgress: (done) => progress(done, 0) });
  let prefillMs = performance.now() - started;
  let tokensRead = documents.ids.length - reused;
  let decodeMs = 0;
  let bytes = context.kvBytes;
  const slices = slicesOf(model, documents);
  for (const question of ends) {
    context.rewind(end);
    started = performance.now();
    const logits = await context.prefill(question, { signal });
    const answering = performance.now();
    slices?.restart();
    readings.push((await write(context, logits, model, request, slices, signal, () => undefined)).reading);
    prefillMs += answering - started;
    decodeMs += performance.now() - answering;
    tokensRead += question.length;
    bytes = Math.max(bytes, context.kvBytes);
  }
  return { readings, tokensRead, tokensReused: reused, prefillMs, decodeMs, kvBytes: bytes };
}

/** What an extractive model may answer: slices of the sources' tokens, which follow `<bos>`. Others answer freely. */
export function slicesOf({ config }: Model, { ids, sourceTokens }: Pick<Prompt, 'ids' | 'sourceTokens'>): Slices | undefined {
  if (config.prompt !== 'qa') return undefined;
  const end = 1 + sourceTokens.reduce((sum, tokens) => sum + tokens, 0);
  return new Slices(ids.subarray(1, end), config.vocabSize);
}

export interface Written {
  readonly reading: Reading;
  /** All that was generated; the context has not read the last one. */
  readonly ids: readonly number[];
}

/** Generates until the answer's end, or the token for "not there": after it nothing counts. `slices`: of which it must be one. */
export async function write(
  context: Context,
  logits: Float32Array,
  model: Model,
  request: Pick<ReadRequest, 'sampling' | 'maxTokens'>,
  slices: Slices | undefined,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Written> {
  const absentId = model.tokenizer.findControlId(ABSENT_TOKEN);
  const stop = absentId === undefined ? model.config.eosIds : [...model.config.eosIds, absentId];
  const stream = model.tokenizer.decodeStream();
  const ids: number[] = [];
  let text = '';
  let logProbability = 0;
  const show = (piece: string): void => {
    if (piece === '') return;
    text += piece;
    emit({ type: 'token', text: piece });
  };
  // At first the answer may be "not there", later it may end.
  const mayStop = (id: number): boolean => stop.includes(id) && (id === absentId) === (ids.length === 0);
  const allowed = slices && ((id: number): boolean => slices.has(id) || mayStop(id));
  const run = generate(context, logits, { sampling: request.sampling, stop, allowed, maxTokens: request.maxTokens, signal });
  let step = await run.next();
  for (; !step.done; step = await run.next()) {
    const { id, logProb } = step.value;
    ids.push(id);
    logProbability += logProb;
    slices?.push(id);
    show(await stream.push(id));
  }
  show(await stream.flush());
  const { reason, stopId, logProb = 0 } = step.value;
  const tokens = ids.length;
  const absent = tokens === 0 && stopId !== undefined && stopId === absentId;
  const confidence = Math.exp(tokens === 0 ? logProb : logProbability);
  return { reading: { parsed: parseAnswer(model.config.prompt, text, absent), confidence, tokens, finish: reason, passage: null }, ids };
}

/** Whether the passages most related to the question are read again: extractive models do that. */
export function looksAgain(model: Pick<Model, 'config'>, request: Pick<ReadRequest, 'looks'>): boolean {
  return request.looks > 0 && model.config.prompt === 'qa';
}

/** For prompts of one passage, of so many tokens at most, and the answer. */
function passageContext(model: Model, request: ReadRequest, tokens: number): Context {
  const chunk = Math.max(request.chunk, model.config.looksBothWays ? tokens : 0);
  return new Context(model, { chunk, positions: tokens + request.maxTokens, kv: request.kv ?? defaultKv });
}

/** One passage, both ways if the model was trained so: then "200" in "200 laptops" knows what it counts. The question follows. The context is empty. */
async function readPassage(model: Model, context: Context, request: ReadRequest, passage: Prompt, question: Uint32Array, signal: AbortSignal): Promise<Reading> {
  const prompt = joinPrompt(passage, question);
  const logits = await context.prefill(prompt.ids, { signal, bothWays: model.config.looksBothWays ? passage.ids.length : 0 });
  return (await write(context, logits, model, request, slicesOf(model, prompt), signal, () => undefined)).reading;
}

function encodePassage(model: Model, sources: readonly IngestedSource[], segments: readonly Segment[], signal: AbortSignal): Promise<Prompt> {
  const alone = sources.map((entry, source) => ({ ...entry, segments: segments.filter((segment) => segment.source === source) }));
  return encodeDocuments(model.config.prompt, alone, model.tokenizer, signal);
}

/** How one passage was read. */
export interface PassageResult {
  readonly reading: Omit<Reading, 'passage'>;
  /** Tokens that went through the model, the question's included. */
  readonly read: number;
}

/** Reads segments of the sources as if there were nothing else, and answers. null: they take more than `most` tokens. */
export async function readAlone(
  model: Model,
  request: ReadRequest,
  sources: readonly IngestedSource[],
  segments: readonly Segment[],
  question: Uint32Array,
  signal: AbortSignal,
  most = Infinity,
): Promise<PassageResult | null> {
  const passage = await encodePassage(model, sources, segments, signal);
  const read = passage.ids.length + question.length;
  if (read > most) return null;
  const context = passageContext(model, request, read);
  try {
    return { reading: await readPassage(model, context, request, passage, question, signal), read };
  } finally {
    context.close();
  }
}

/** Reads the passages most related to the question, each alone. */
export async function lookAgain(
  model: Model,
  request: ReadRequest,
  sources: readonly IngestedSource[],
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Reading[]> {
  const passages = relatedPassages(request.question, sources, { characters: passageCharacters, count: request.looks });
  const question = await encodeQuestion(model.config.prompt, request.question, model.tokenizer);
  if (passages.length === 0) return [];
  const prompts: Prompt[] = [];
  for (const { segments } of passages) prompts.push(await encodePassage(model, sources, segments, signal));
  // One context for all: to begin with fresh memory takes longer than to read a passage.
  const context = passageContext(model, request, Math.max(...prompts.map(({ ids }) => ids.length)) + question.length);
  try {
    const start = await context.mark();
    const readings: Reading[] = [];
    for (const [i, passage] of passages.entries()) {
      emit({ type: 'look', done: i, total: passages.length });
      context.rewind(start);
      readings.push({ ...(await readPassage(model, context, request, prompts[i]!, question, signal)), passage });
    }
    return readings;
  } finally {
    context.close();
  }
}
