/**
 * The main job: sources and a question -> an answer with its places. Emits events on the way; knows nothing of
 * terminals. One direction: ingest -> prompt -> prefill -> decode -> citations.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Device } from '../device/device.js';
import { ABSENT_TOKEN, buildPrompt, parseAnswer, type Prompt } from '../encode/prompt.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { ingest } from '../ingest/ingest.js';
import type { IngestedSource } from '../ingest/segment.js';
import { sourceName } from '../ingest/name.js';
import type { PageRange } from '../ingest/pages.js';
import { gemmaStorage } from '../gemma/weights.js';
import { Context } from '../runtime/context.js';
import { generate } from '../runtime/generate.js';
import { chunkSize, kvBytes } from '../runtime/kv.js';
import { loadModel, openModelFiles, type Model, type ModelFiles } from '../runtime/model.js';
import type { Sampling } from '../runtime/sampler.js';
import type { Answer, AskEvent, Plan, ReadingSummary, SourceSummary } from './answer.js';
import { cite, type Citation } from './citations.js';
import { relatedPassages } from './passages.js';
import { chooseReading, passageCharacters, type Reading } from './second-look.js';

export interface AskRequest {
  readonly question: string;
  /** "-" is standard input. */
  readonly paths: readonly string[];
  readonly pages?: readonly PageRange[];
  /** For encrypted PDFs. */
  readonly password?: string;
  /** Milliseconds after which a PDF is given up. */
  readonly pdfTimeoutMs?: number;
  readonly modelDir: string;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** Positions per submit. */
  readonly chunk: number;
  /** How many passages to read again (second-look.ts); 0: none. Only extractive models (prompt style qa) do. */
  readonly looks: number;
  /** Put the weight files' hash into the answer. Default false: hashing gigabytes takes its time. */
  readonly hashWeights?: boolean;
}

interface Prepared {
  readonly sources: readonly IngestedSource[];
  readonly files: ModelFiles;
  readonly prompt: Prompt;
  readonly plan: Plan;
  readonly ingestMs: number;
  /** Of the model's files, without the weights. */
  readonly openMs: number;
}

function summarise(sources: readonly IngestedSource[], prompt: Prompt): SourceSummary[] {
  return sources.map(({ source, segments }, i) => ({
    path: source.path,
    kind: source.kind,
    sha256: source.sha256,
    ...(source.pages === undefined ? {} : { pages: source.pages }),
    segments: segments.length,
    tokens: prompt.sourceTokens[i]!,
  }));
}

/** Positions of the whole run. */
function runLength(prompt: Prompt, request: AskRequest): number {
  return prompt.ids.length + request.maxTokens;
}

function makePlan(files: ModelFiles, device: Device, request: AskRequest, prompt: Prompt, summaries: SourceSummary[]): Plan {
  const { config } = files;
  const context = runLength(prompt, request);
  const storage = gemmaStorage(files.places, request.quantize);
  const kv = kvBytes(config, context, chunkSize(request.chunk, config.maxPositions, context));
  const count = (kind: 'local' | 'global'): number => config.layers.filter((layer) => layer.kind === kind).length;
  const perPosition = 2 * config.kvHeads * config.headDim * Float32Array.BYTES_PER_ELEMENT;
  const layers = (kind: 'local' | 'global'): Plan['kv']['local'] => ({
    layers: count(kind),
    bytes: kv[kind],
    positions: count(kind) === 0 ? 0 : kv[kind] / (perPosition * count(kind)),
  });
  return {
    schema: 'lodestone.plan/1',
    model: { id: files.id, quantization: storage.format, context: config.maxPositions, weight_bytes: storage.bytes },
    device: { name: device.name, adapter: device.description },
    sources: summaries,
    tokens: {
      sources: prompt.sourceTokens.reduce((sum, tokens) => sum + tokens, 0),
      prompt: prompt.ids.length,
      answer: request.maxTokens,
      context: config.maxPositions,
    },
    kv: {
      bytes: kv.total,
      local: layers('local'),
      global: layers('global'),
      bytes_if_all_global: context * perPosition * config.layers.length,
    },
    fits: context <= config.maxPositions,
  };
}

/** Who asked for how much, for the error of an input that does not fit. */
function overflowMessage(plan: Plan): string {
  const ledger = plan.sources.map((source) => `${sourceName(source.path)}: ${source.tokens} tokens`).join('; ');
  return (
    `the input takes ${plan.tokens.prompt} tokens and the answer up to ${plan.tokens.answer}, but ${plan.model.id} holds ` +
    `${plan.tokens.context} (${ledger}). Nothing was cut: choose pages with --pages, or a model with a longer context`
  );
}

/**
 * The model's files, then the sources, and no weights: what is wrong with any of them, and what does not fit, is said
 * before anything long is done.
 */
async function prepare(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Prepared> {
  const started = performance.now();
  const { pdfTimeoutMs } = request;
  const files = await openModelFiles(request.modelDir);
  const { config, tokenizer } = files;
  const opened = performance.now();
  const sources = await ingest(request.paths, {
    signal,
    onProgress: (progress) => emit({ type: 'ingest', ...progress }),
    pages: request.pages,
    password: request.password,
    limits: pdfTimeoutMs === undefined ? {} : { documentMs: pdfTimeoutMs, pageMs: pdfTimeoutMs },
  });
  for (const { source, warnings } of sources) {
    for (const warning of warnings) emit({ type: 'warning', message: `${sourceName(source.path)}: ${warning}` });
  }
  const ingested = performance.now();
  const prompt = await buildPrompt(config.prompt, request.question, sources, tokenizer, signal);
  if (signal.aborted) throw abortError(signal);
  const foreign = prompt.ids.find((id) => id >= config.vocabSize);
  if (foreign !== undefined) {
    throw new LodestoneError(ExitCode.badModel, `${request.modelDir}: tokenizer.json has a control token ${foreign}, beyond the ${config.vocabSize} ids of config.json`);
  }
  const plan = makePlan(files, device, request, prompt, summarise(sources, prompt));
  emit({ type: 'plan', plan });
  return { sources, files, prompt, plan, ingestMs: ingested - opened, openMs: opened - started };
}

async function sha256OfFiles(paths: readonly string[], signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function read(context: Context, ids: Uint32Array, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Float32Array> {
  const started = performance.now();
  return context.prefill(ids, {
    signal,
    onProgress: (done, total) => {
      const seconds = Math.max(1e-3, (performance.now() - started) / 1e3);
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
  request: AskRequest,
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

function cutMessage({ finish, tokens }: Reading): string {
  const remedy = finish === 'length' ? 'raise --max-tokens' : "the model's context is full";
  return `the answer was cut at ${tokens} ${tokens === 1 ? 'token' : 'tokens'}: ${remedy}`;
}

/** Reads the passages most related to the question, each alone. */
async function lookAgain(
  model: Model,
  request: AskRequest,
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
    const context = new Context(model, { chunk: request.chunk, positions: runLength(prompt, request) });
    try {
      const logits = await context.prefill(prompt.ids, { signal });
      readings.push({ ...(await write(context, logits, model, request, signal, () => undefined)), passage });
    } finally {
      context.close();
    }
  }
  return readings;
}

/** An answer read in a passage is cited there; one of the whole, wherever it stands. */
function citations(question: string, { parsed, passage }: Reading, sources: readonly IngestedSource[]): Citation[] {
  return cite(question, parsed.needle, sources, passage ?? undefined);
}

function summariseReading({ parsed, confidence, passage }: Reading): ReadingSummary {
  const first = passage?.segments[0];
  return {
    of: passage === null ? 'everything' : 'passage',
    ...(first?.page === undefined ? {} : { page: first.page }),
    ...(first?.line === undefined ? {} : { line: first.line }),
    ...(passage === null ? {} : { relevance: passage.relevance }),
    answer: parsed.answer,
    confidence,
  };
}

/** What `ask` would do: ingest and tokenise, compute nothing. */
export async function planAsk(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Plan> {
  return (await prepare(request, device, signal, emit)).plan;
}

/**
 * Errors: LodestoneError with unreadableInput, badModel, contextExceeded, outOfMemory; the signal's reason on abort.
 */
export async function ask(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
  const { sources, files, prompt, plan, ingestMs, openMs } = await prepare(request, device, signal, emit);
  if (!plan.fits) throw new LodestoneError(ExitCode.contextExceeded, overflowMessage(plan));

  const loadStarted = performance.now();
  const model = await loadModel(files, device, { quantize: request.quantize, signal });
  const loadMs = openMs + performance.now() - loadStarted;
  const hashingEnds = new AbortController();
  let context: Context | undefined;
  try {
    const hashing = request.hashWeights === true ? sha256OfFiles(model.weightFiles, hashingEnds.signal) : undefined;
    hashing?.catch(() => undefined);
    context = new Context(model, { chunk: request.chunk, positions: runLength(prompt, request) });
    const prefillStarted = performance.now();
    const logits = await read(context, prompt.ids, signal, emit);
    const decodeStarted = performance.now();
    // What the second look may change is not shown before it.
    const twice = request.looks > 0 && model.config.prompt === 'qa';
    const whole = await write(context, logits, model, request, signal, twice ? () => undefined : emit);
    const ended = performance.now();
    const looks = twice ? await lookAgain(model, request, sources, signal, emit) : [];
    const looked = performance.now();
    const chosen = chooseReading(whole, looks);
    const { parsed } = chosen;
    if (twice && parsed.found) emit({ type: 'token', text: parsed.answer });
    if (chosen.finish !== 'stop') emit({ type: 'warning', message: cutMessage(chosen) });
    const sha256 = await hashing;
    const answer: Answer = {
      schema: 'lodestone.answer/1',
      question: request.question,
      answer: parsed.answer,
      found: parsed.found,
      confidence: chosen.confidence,
      citations: parsed.found ? citations(request.question, chosen, sources) : [],
      readings: [whole, ...looks].map(summariseReading),
      finish: chosen.finish,
      model: { id: model.id, ...(sha256 === undefined ? {} : { sha256 }), quantization: model.quantization, context: model.config.maxPositions },
      device: { name: device.name, adapter: device.description },
      tokens: { input: prompt.ids.length, cached: 0, generated: whole.tokens, context: context.length },
      truncated: false,
      timings: {
        ingest_ms: Math.round(ingestMs),
        load_ms: Math.round(loadMs),
        prefill_ms: Math.round(decodeStarted - prefillStarted),
        decode_ms: Math.round(ended - decodeStarted),
        prefill_tps: Math.round((prompt.ids.length / (decodeStarted - prefillStarted)) * 1e3),
        look_ms: Math.round(looked - ended),
        decode_tps: Math.round((whole.tokens / (ended - decodeStarted)) * 1e3),
      },
      sources: plan.sources,
    };
    emit({ type: 'answer', answer });
    return answer;
  } finally {
    hashingEnds.abort();
    context?.close();
    await model.close();
  }
}
