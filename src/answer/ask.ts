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
import { Context } from '../runtime/context.js';
import { generate } from '../runtime/generate.js';
import { kvBytes } from '../runtime/kv.js';
import { openConfig, openModel, type Model } from '../runtime/model.js';
import type { Sampling } from '../runtime/sampler.js';
import type { Answer, AskEvent, Plan, SourceSummary } from './answer.js';
import { cite } from './citations.js';

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
}

interface Prepared {
  readonly sources: readonly IngestedSource[];
  readonly model: Model;
  readonly prompt: Prompt;
  readonly plan: Plan;
  readonly ingestMs: number;
  readonly loadMs: number;
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

function makePlan(model: Model, device: Device, request: AskRequest, prompt: Prompt, summaries: SourceSummary[]): Plan {
  const { config } = model;
  const context = prompt.ids.length + request.maxTokens;
  const kv = kvBytes(config, context, request.chunk);
  const count = (kind: 'local' | 'global'): number => config.layers.filter((layer) => layer.kind === kind).length;
  const perPosition = 2 * config.kvHeads * config.headDim * Float32Array.BYTES_PER_ELEMENT;
  const layers = (kind: 'local' | 'global'): Plan['kv']['local'] => ({
    layers: count(kind),
    bytes: kv[kind],
    positions: count(kind) === 0 ? 0 : kv[kind] / (perPosition * count(kind)),
  });
  return {
    schema: 'lodestone.plan/1',
    model: { id: model.id, quantization: model.quantization, context: config.maxPositions, weight_bytes: model.weightBytes },
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
 * The model's config, then the sources, then its weights: what is wrong with either is said before anything long is done
 * for the other.
 */
async function prepare(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Prepared> {
  const started = performance.now();
  const { pdfTimeoutMs } = request;
  await openConfig(request.modelDir);
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
  const model = await openModel(request.modelDir, device, { quantize: request.quantize, signal });
  const loaded = performance.now();
  const prompt = await buildPrompt(model.config.prompt, request.question, sources, model.tokenizer);
  if (signal.aborted) throw abortError(signal);
  const plan = makePlan(model, device, request, prompt, summarise(sources, prompt));
  emit({ type: 'plan', plan });
  return { sources, model, prompt, plan, ingestMs: ingested - started, loadMs: loaded - ingested };
}

async function sha256OfFiles(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
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

interface Generated {
  readonly text: string;
  readonly absent: boolean;
  readonly tokens: number;
  readonly confidence: number;
}

async function write(
  context: Context,
  logits: Float32Array,
  model: Model,
  request: AskRequest,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Generated> {
  const absentId = model.tokenizer.findControlId(ABSENT_TOKEN);
  const stream = model.tokenizer.decodeStream();
  let text = '';
  let absent = false;
  let tokens = 0;
  let logProbability = 0;
  const show = (piece: string): void => {
    if (piece === '') return;
    text += piece;
    emit({ type: 'token', text: piece });
  };
  const run = generate(context, logits, { sampling: request.sampling, stop: model.config.eosIds, maxTokens: request.maxTokens, signal });
  for await (const { id, logProb } of run) {
    if (tokens === 0 && id === absentId) absent = true;
    tokens++;
    logProbability += logProb;
    show(await stream.push(id));
  }
  show(await stream.flush());
  return { text, absent, tokens, confidence: tokens === 0 ? 0 : Math.exp(logProbability) };
}

/** What `ask` would do: ingest and tokenise, compute nothing. */
export async function planAsk(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Plan> {
  const { plan, model } = await prepare(request, device, signal, emit);
  await model.close();
  return plan;
}

/**
 * Errors: LodestoneError with unreadableInput, badModel, contextExceeded, outOfMemory; the signal's reason on abort.
 */
export async function ask(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
  const { sources, model, prompt, plan, ingestMs, loadMs } = await prepare(request, device, signal, emit);
  if (!plan.fits) throw new LodestoneError(ExitCode.contextExceeded, overflowMessage(plan));

  const hashing = sha256OfFiles(model.weightFiles);
  hashing.catch(() => undefined);
  const context = new Context(model, { chunk: request.chunk });
  try {
    const prefillStarted = performance.now();
    const logits = await read(context, prompt.ids, signal, emit);
    const decodeStarted = performance.now();
    const generated = await write(context, logits, model, request, signal, emit);
    const ended = performance.now();
    const parsed = parseAnswer(model.config.prompt, generated.text, generated.absent);
    const answer: Answer = {
      schema: 'lodestone.answer/1',
      question: request.question,
      answer: parsed.answer,
      found: parsed.found,
      confidence: generated.confidence,
      citations: parsed.found ? cite(request.question, parsed.needle, sources) : [],
      model: { id: model.id, sha256: await hashing, quantization: model.quantization, context: model.config.maxPositions },
      device: { name: device.name, adapter: device.description },
      tokens: { input: prompt.ids.length, cached: 0, generated: generated.tokens, context: context.length },
      truncated: false,
      timings: {
        ingest_ms: Math.round(ingestMs),
        load_ms: Math.round(loadMs),
        prefill_ms: Math.round(decodeStarted - prefillStarted),
        decode_ms: Math.round(ended - decodeStarted),
        prefill_tps: Math.round((prompt.ids.length / (decodeStarted - prefillStarted)) * 1e3),
        decode_tps: Math.round((generated.tokens / (ended - decodeStarted)) * 1e3),
      },
      sources: plan.sources,
    };
    emit({ type: 'answer', answer });
    return answer;
  } finally {
    context.close();
    await model.close();
  }
}
