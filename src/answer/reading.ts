/** The model reads and answers: everything once, then single passages (second-look.ts says why). */
import { ABSENT_TOKEN, buildPrompt, parseAnswer, type Prompt } from '../encode/prompt.js';
import type { IngestedSource } from '../ingest/segment.js';
import { Context } from '../runtime/context.js';
import { generate } from '../runtime/generate.js';
import { defaultKv, type KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import type { Sampling } from '../runtime/sampler.js';
import type { AskEvent } from './answer.js';
import { relatedPassages } from './passages.js';
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
  readonly prefillMs: number;
  readonly decodeMs: number;
}

/** Positions of the whole run. */
export function runLength(prompt: Prompt, request: Pick<ReadRequest, 'maxTokens'>): number {
  return prompt.ids.length + request.maxTokens;
}

/** Reads a prompt from its first token to its last and answers. Emits prefill and token events. */
export async function readEverything(
  model: Model,
  request: ReadRequest,
  prompt: Prompt,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<WholeReading> {
  const context = new Context(model, { chunk: request.chunk, positions: runLength(prompt, request), kv: request.kv ?? defaultKv });
  try {
    const started = performance.now();
    const logits = await read(context, prompt.ids, signal, emit);
    const prefilled = performance.now();
    const reading = await write(context, logits, model, request, signal, emit);
    return { reading, positions: context.length, prefillMs: prefilled - started, decodeMs: performance.now() - prefilled };
  } finally {
    context.close();
  }
}

/** Least time between two events of progress: a text of millions of tokens has many thousands of chunks. */
const progressMs = 50;

async function read(context: Context, ids: Uint32Array, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Float32Array> {
  const started = performance.now();
  let shown = -Infinity;
  return context.prefill(ids, {
    signal,
    onProgress: (done, total) => {
      const now = performance.now();
      if (done < total && now - shown < progressMs) return;
      shown = now;
      const seconds = Math.max(1e-3, (now - started) / 1e3);
      const rate = done / seconds;
      emit({ type: 'prefill', done, total, tokens_per_second: rate, eta_seconds: (total - done) / Math.max(rate, 1e-9) });
    },
  });
}

/** Generates until the answer's end, or the token for "not there": after it nothing counts. */
async function write(
  context: Context,
  logits: Float32Array,
  model: Model,
  request: ReadRequest,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Reading> {
  const absentId = model.tokenizer.findControlId(ABSENT_TOKEN);
  const stop = absentId === undefined ? model.config.eosIds : [...model.config.eosIds, absentId];
  const stream = model.tokenizer.decodeStream();
  let text = '';
  let tokens = 0;
  let logProbability = 0;
  const show = (piece: string): void => {
    if (piece === '') return;
    text += piece;
    emit({ type: 'token', text: piece });
  };
  const run = generate(context, logits, { sampling: request.sampling, stop, maxTokens: request.maxTokens, signal });
  let step = await run.next();
  for (; !step.done; step = await run.next()) {
    const { id, logProb } = step.value;
    tokens++;
    logProbability += logProb;
    show(await stream.push(id));
  }
  show(await stream.flush());
  const { reason, stopId, logProb = 0 } = step.value;
  const absent = tokens === 0 && stopId !== undefined && stopId === absentId;
  const confidence = Math.exp(tokens === 0 ? logProb : logProbability);
  return { parsed: parseAnswer(model.config.prompt, text, absent), confidence, tokens, finish: reason, passage: null };
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
  const readings: Reading[] = [];
  for (const [i, passage] of passages.entries()) {
    emit({ type: 'look', done: i, total: passages.length });
    const alone = sources.map((entry, source) => ({ ...entry, segments: passage.segments.filter((segment) => segment.source === source) }));
    const prompt = await buildPrompt(model.config.prompt, request.question, alone, model.tokenizer, signal);
    const { reading } = await readEverything(model, request, prompt, signal, () => undefined);
    readings.push({ ...reading, passage });
  }
  return readings;
}
