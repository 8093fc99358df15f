/**
 * The main job: sources and a question -> an answer with its places. Emits events on the way; knows nothing of
 * terminals. One direction: ingest -> prompt -> prefill -> decode -> citations.
 */
import type { Device } from '../device/device.js';
import type { Tiles } from '../encode/image.js';
import { buildPrompt, type Prompt } from '../encode/prompt.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { ingest } from '../ingest/ingest.js';
import type { IngestedSource } from '../ingest/segment.js';
import { sourceName } from '../ingest/name.js';
import type { PageRange } from '../ingest/pages.js';
import { visionBytes } from '../gemma/vision-weights.js';
import { gemmaStorage } from '../gemma/weights.js';
import { checkKv, chunkSize, defaultKv, kvBytes, kvPositionBytes, layerKv } from '../runtime/kv.js';
import { loadModel, openModelFiles, type ModelFiles } from '../runtime/model.js';
import { sha256OfFiles } from '../weights/hash.js';
import type { Answer, AskEvent, Plan, PlannedLayers, ReadingSummary, SourceSummary } from './answer.js';
import { cite } from './citations.js';
import { encodeImages } from './images.js';
import { lookAgain, looksAgain, readEverything, runLength, type ReadRequest } from './reading.js';
import { chooseReading, type Reading } from './second-look.js';

export interface AskRequest extends ReadRequest {
  /** "-" is standard input. */
  readonly paths: readonly string[];
  readonly pages?: readonly PageRange[];
  /** For encrypted PDFs. */
  readonly password?: string;
  /** Milliseconds after which a PDF is given up. */
  readonly pdfTimeoutMs?: number;
  /** A model directory or a GGUF file. */
  readonly modelDir: string;
  /** What to call it; default: by its path. */
  readonly modelId?: string;
  /** Crops of images beside the whole. Default: `defaultTiles`. */
  readonly tiles?: Tiles;
  /** The vision part of a GGUF file. */
  readonly mmproj?: string;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  /** Put the weight files' hash into the answer. Default false: hashing gigabytes takes its time. */
  readonly hashWeights?: boolean;
}

/** As Gemma's authors run it: wide and tall images are shown in parts too. */
export const defaultTiles: Tiles = 'auto';

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
    ...(source.kind === 'image' ? { views: prompt.images?.filter((image) => image.source === i).length ?? 0 } : {}),
    segments: segments.length,
    tokens: prompt.sourceTokens[i]!,
  }));
}

function makePlan(files: ModelFiles, device: Device, request: AskRequest, prompt: Prompt, summaries: SourceSummary[]): Plan {
  const { config } = files;
  const formats = request.kv ?? defaultKv;
  const context = runLength(prompt, request);
  const storage = gemmaStorage(files.places, request.quantize);
  const kv = kvBytes(config, context, chunkSize(request.chunk, config, context), formats);
  const layers = (kind: 'local' | 'global'): PlannedLayers => {
    const { slots, ...rest } = layerKv(config, kind, kv, formats);
    return { ...rest, positions: slots };
  };
  return {
    schema: 'lodestone.plan/1',
    model: { id: files.id, quantization: storage.quantization, context: config.maxPositions, weight_bytes: storage.bytes + (prompt.images && files.visionPlaces ? visionBytes(files.visionPlaces) : 0) },
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
      bytes_if_all_global: context * kvPositionBytes(config, formats.global) * config.layers.length,
    },
    fits: context <= config.maxPositions,
  };
}

/** Who asked for how much, for the error of an input that does not fit. */
function overflowMessage(plan: Plan): string {
  const tiled = plan.sources.some(({ views = 0 }) => views > 1);
  const ledger = plan.sources.map((source) => `${sourceName(source.path)}: ${source.tokens} tokens`).join('; ');
  return (
    `the input takes ${plan.tokens.prompt} tokens and the answer up to ${plan.tokens.answer}, but ${plan.model.id} holds ` +
    `${plan.tokens.context} (${ledger}). Nothing was cut: choose pages with --pages, ${tiled ? 'show images whole only with --tiles 0, ' : ''}or ` +
    'a model with a longer context'
  );
}

/**
 * The model's files, then the sources, and no weights: what is wrong with any of them, and what does not fit, is said
 * before anything long is done.
 */
async function prepare(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Prepared> {
  const started = performance.now();
  const { pdfTimeoutMs } = request;
  const files = await openModelFiles(request.modelDir, { id: request.modelId, mmproj: request.mmproj });
  const { config, tokenizer } = files;
  checkKv(config, request.kv ?? defaultKv);
  const opened = performance.now();
  const sources = await ingest(request.paths, {
    signal,
    onProgress: (progress) => emit({ type: 'ingest', ...progress }),
    pages: request.pages,
    password: request.password,
    images: files.visionPlaces ? true : noImages(files),
    limits: pdfTimeoutMs === undefined ? {} : { documentMs: pdfTimeoutMs, pageMs: pdfTimeoutMs },
  });
  for (const { source, warnings } of sources) {
    for (const warning of warnings) emit({ type: 'warning', message: `${sourceName(source.path)}: ${warning}` });
  }
  const ingested = performance.now();
  const imageStyle = config.vision ? { vision: config.vision, tiles: request.tiles ?? defaultTiles } : undefined;
  const prompt = await buildPrompt(config.prompt, request.question, sources, tokenizer, signal, imageStyle);
  if (signal.aborted) throw abortError(signal);
  const foreign = prompt.ids.find((id) => id >= config.vocabSize && id !== config.vision?.tokens.soft);
  if (foreign !== undefined) {
    throw new LodestoneError(ExitCode.badModel, `${request.modelDir}: tokenizer.json has a control token ${foreign}, beyond the ${config.vocabSize} ids of config.json`);
  }
  const plan = makePlan(files, device, request, prompt, summarise(sources, prompt));
  emit({ type: 'plan', plan });
  return { sources, files, prompt, plan, ingestMs: ingested - opened, openMs: opened - started };
}

/** Why a model refuses images, and what to do. */
function noImages({ id }: ModelFiles): string {
  return `and ${id} reads text only; name the folder of a Gemma 3 that sees (4B, 12B or 27B) with -m, or its GGUF file with -m and its vision part with --mmproj`;
}

function cutMessage({ finish, tokens }: Reading): string {
  const remedy = finish === 'length' ? 'raise --max-tokens' : "the model's context is full";
  return `the answer was cut at ${tokens} ${tokens === 1 ? 'token' : 'tokens'}: ${remedy}`;
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
  const model = await loadModel(files, device, { quantize: request.quantize, images: prompt.images !== undefined, signal });
  const loadMs = openMs + performance.now() - loadStarted;
  const hashingEnds = new AbortController();
  try {
    const hashing = request.hashWeights === true ? sha256OfFiles(model.weightFiles, hashingEnds.signal) : undefined;
    hashing?.catch(() => undefined);
    // What the second look may change is not shown before it.
    const twice = looksAgain(model, request);
    const show = (event: AskEvent): void => {
      if (!twice || event.type !== 'token') emit(event);
    };
    const soft = await encodeImages(model, prompt.images ?? [], signal, emit);
    const first = await readEverything(model, request, prompt, signal, show, soft);
    const whole = first.reading;
    const ended = performance.now();
    const looks = twice ? await lookAgain(model, request, sources, signal, emit) : [];
    const looked = performance.now();
    const chosen = chooseReading(request.question, whole, looks);
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
      // An answer read in a passage is cited there; one of the whole, wherever it stands.
      citations: parsed.found ? cite(request.question, parsed.needle, sources, chosen.passage ?? undefined) : [],
      readings: [whole, ...looks].map(summariseReading),
      finish: chosen.finish,
      model: { id: model.id, ...(sha256 === undefined ? {} : { sha256 }), quantization: model.quantization, kv: request.kv ?? defaultKv, context: model.config.maxPositions },
      device: { name: device.name, adapter: device.description },
      tokens: { input: prompt.ids.length, cached: 0, generated: whole.tokens, context: first.positions },
      truncated: false,
      timings: {
        ingest_ms: Math.round(ingestMs),
        load_ms: Math.round(loadMs),
        prefill_ms: Math.round(first.prefillMs),
        decode_ms: Math.round(first.decodeMs),
        prefill_tps: Math.round((prompt.ids.length / first.prefillMs) * 1e3),
        look_ms: Math.round(looked - ended),
        decode_tps: Math.round((whole.tokens / first.decodeMs) * 1e3),
      },
      sources: plan.sources,
    };
    emit({ type: 'answer', answer });
    return answer;
  } finally {
    hashingEnds.abort();
    await model.close();
  }
}
