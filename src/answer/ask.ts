/**
 * The main job: sources and a question -> an answer with its places. Emits events on the way; knows nothing of
 * terminals. One direction: ingest -> prompt -> prefill -> decode -> citations.
 */
import type { Device } from '../device/device.js';
import type { Tiles } from '../encode/image.js';
import { buildPrompt, type Prompt, type PromptImage } from '../encode/prompt.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { ingest } from '../ingest/ingest.js';
import { picturesFolder, speechFolder } from '../ingest/media/journal.js';
import type { IngestedSource, Raster, Segment } from '../ingest/segment.js';
import { sourceName } from '../ingest/name.js';
import type { TimeRange } from '../ingest/media/media.js';
import type { FrameChoice } from '../ingest/media/pictures.js';
import type { VideoVision } from '../ingest/media/recording.js';
import type { PageRange } from '../ingest/pages.js';
import { visionBytes } from '../gemma/vision-weights.js';
import { gemmaStorage } from '../gemma/weights.js';
import { checkKv, chunkSize, defaultKv, globalPageSlots, kvBytes, kvPositionBytes, layerKv } from '../runtime/kv.js';
import { loadModel, openModelFiles, type Model, type ModelFiles } from '../runtime/model.js';
import { knownSha256 } from '../sessions/known-hashes.js';
import { hashesFolder, openSession, type CacheOptions } from '../sessions/open.js';
import type { Session } from '../sessions/session.js';
import { rememberIn, textsFolder } from '../sessions/texts.js';
import type { PictureReader } from '../see/picture-reader.js';
import { sha256OfFiles } from '../weights/hash.js';
import type { Answer, AskEvent, Plan, PlannedLayers, SourceSummary } from './answer.js';
import { defaultFrames, defaultTiles } from './defaults.js';
import { Hearing } from './hearing.js';
import { encodeImages } from './images.js';
import type { KeptImages } from './kept-images.js';
import { keepDocumentsIn } from './kept-prompt.js';
import { makeAnswer, secondLook } from './make-answer.js';
import { withPlaces } from './place-events.js';
import { looksAgain, readEverything, runLength, type ReadRequest } from './reading.js';

export interface AskRequest extends ReadRequest {
  /** "-" is standard input. */
  readonly paths: readonly string[];
  readonly pages?: readonly PageRange[];
  /** Show every page of a PDF as an image. Default: those without a text layer, where the model sees. */
  readonly pagesAsImages?: boolean;
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
  /** The speech model that hears recordings, as the user names it. Default: as `chooseSpeech` has it. */
  readonly speech?: string;
  /** Folder of the model that reads what is written in images and videos, for a model that does not see them itself. */
  readonly see?: string;
  /** As `TranscriberOptions`. */
  readonly language?: string;
  /** Part of the recordings, in seconds. */
  readonly range?: TimeRange;
  /** Pictures of a video: so many a second, and which of them. Default: `defaultFrames`. */
  readonly frames?: { readonly fps: number; readonly choice: FrameChoice };
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  /** Keep what was read, and use what is kept. Default: neither. */
  readonly cache?: CacheOptions;
  /** Put the weight files' hash into the answer. Default false: hashing gigabytes takes its time. */
  readonly hashWeights?: boolean;
}

export interface Prepared extends Opened {
  readonly prompt: Prompt;
  readonly session: Session | undefined;
  readonly plan: Plan;
}

function viewsOf(segments: readonly Segment[], shown: readonly PromptImage[]): Pick<SourceSummary, 'views' | 'page_images'> {
  if (shown.length === 0) return {};
  const pages = segments.filter(({ image, page }) => image && page !== undefined).length;
  return { views: shown.length, ...(pages === 0 ? {} : { page_images: pages }) };
}

export function summarise(sources: readonly IngestedSource[], prompt: Prompt): SourceSummary[] {
  return sources.map(({ source, segments }, i) => ({
    path: source.path,
    kind: source.kind,
    sha256: source.sha256,
    ...(source.pages === undefined ? {} : { pages: source.pages }),
    ...(source.seconds === undefined ? {} : { seconds: source.seconds }),
    ...(source.frames === undefined ? {} : { frames: source.frames }),
    ...(source.kind === 'video' ? {} : viewsOf(segments, prompt.images?.filter((image) => image.source === i) ?? [])),
    segments: segments.length,
    tokens: prompt.sourceTokens[i]!,
  }));
}

export function makePlan(files: ModelFiles, device: Device, request: AskRequest, prompt: Prompt, cached: number, summaries: SourceSummary[]): Plan {
  const { config } = files;
  const formats = request.kv ?? defaultKv;
  const context = runLength(prompt, request);
  const storage = gemmaStorage(files.places, request.quantize);
  const kv = kvBytes(config, context, chunkSize(request.chunk, config, context), formats, globalPageSlots(device, context));
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
      cached,
      answer: request.maxTokens,
      context: config.maxPositions,
    },
    kv: {
      bytes: kv.total,
      local: layers('local'),
      global: layers('global'),
      bytes_if_all_global: context * kvPositionBytes(config, formats.global) * config.layers.length,
    },
    ...framesOf(prompt, summaries, config, context),
    fits: context <= config.maxPositions,
  };
}

/** How many pictures of videos are looked at, and how many would fit beside everything else. */
function framesOf(prompt: Prompt, summaries: readonly SourceSummary[], config: ModelFiles['config'], context: number): Pick<Plan, 'frames'> {
  const shown = summaries.reduce((sum, { frames }) => sum + (frames?.shown ?? 0), 0);
  if (shown === 0) return {};
  const filmed = summaries.reduce((sum, { frames, tokens }) => sum + (frames ? tokens : 0), 0);
  // With what was said between them, which stays when pictures are left out, so this is rather too few.
  const perFrame = Math.max(1, filmed / shown);
  const fit = Math.max(0, Math.floor((config.maxPositions - (context - filmed)) / perFrame));
  return { frames: { shown, fit: Math.min(shown, fit) } };
}

/** Who asked for how much, for the error of an input that does not fit. */
function overflowMessage(plan: Plan): string {
  const tiled = plan.sources.some(({ views = 0 }) => views > 1);
  const filmed = plan.frames === undefined ? '' : `; of ${plan.frames.shown} pictures ${plan.frames.fit} fit`;
  const timed = plan.sources.some(({ kind }) => kind === 'audio' || kind === 'video');
  const remedies = [
    ...(plan.sources.some(({ kind }) => kind === 'pdf') || !timed ? ['choose pages with --pages'] : []),
    ...(tiled ? ['show images whole only with --tiles 0'] : []),
    ...(timed ? ['choose a part with --from and --to'] : []),
    ...(plan.frames === undefined ? [] : ['look at fewer pictures with --fps or --frames scenes']),
    'or a model with a longer context',
  ];
  const ledger = plan.sources.map((source) => `${sourceName(source.path)}: ${source.tokens} tokens`).join('; ');
  return (
    `the input takes ${plan.tokens.prompt} tokens and the answer up to ${plan.tokens.answer}, but ${plan.model.id} holds ` +
    `${plan.tokens.context} (${ledger}${filmed}). Nothing was cut: ${remedies.join(', ')}`
  );
}

/** Errors: LodestoneError(contextExceeded). */
export function checkFits(plan: Plan): void {
  if (!plan.fits) throw new LodestoneError(ExitCode.contextExceeded, overflowMessage(plan));
}

/** The model's files and the sources, before anything is tokenised. */
export interface Opened {
  readonly sources: readonly IngestedSource[];
  readonly files: ModelFiles;
  readonly ingestMs: number;
  /** Of the model's files, without the weights. */
  readonly openMs: number;
}

/**
 * The model's files, then the sources, and no weights: what is wrong with any of them is said before anything long is done.
 */
export async function openSources(request: Omit<AskRequest, 'question'>, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Opened> {
  const started = performance.now();
  const files = await openModelFiles(request.modelDir, { id: request.modelId, mmproj: request.mmproj });
  checkKv(files.config, request.kv ?? defaultKv);
  const opened = performance.now();
  if (request.pagesAsImages === true && !files.visionPlaces) throw new LodestoneError(ExitCode.usage, `--pages-as-images needs a model that sees, ${noImages(files)}`);
  const sources = await ingestAll(request, files, device, signal, emit);
  for (const { source, warnings } of sources) {
    for (const warning of warnings) emit({ type: 'warning', message: `${sourceName(source.path)}: ${warning}` });
  }
  return { sources, files, ingestMs: performance.now() - opened, openMs: opened - started };
}

/** What all of it takes. Emits the plan, which says whether it fits. */
export async function preparePrompt(opened: Opened, request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Prepared> {
  const { sources, files } = opened;
  const { config, tokenizer } = files;
  const imageStyle = config.vision ? { vision: config.vision, tiles: request.tiles ?? defaultTiles } : undefined;
  const keep = request.cache && keepDocumentsIn(request.cache.folder, request.modelDir, files, signal);
  const prompt = await buildPrompt(config.prompt, request.question, sources, tokenizer, signal, imageStyle, keep);
  if (signal.aborted) throw abortError(signal);
  const foreign = prompt.ids.find((id) => id >= config.vocabSize && id !== config.vision?.tokens.soft);
  if (foreign !== undefined) {
    throw new LodestoneError(ExitCode.badModel, `${request.modelDir}: tokenizer.json has a control token ${foreign}, beyond the ${config.vocabSize} ids of config.json`);
  }
  const session = await findSession(request, files, device, sources, prompt, signal, emit);
  const plan = makePlan(files, device, request, prompt, session?.length ?? 0, summarise(sources, prompt));
  emit({ type: 'plan', plan });
  return { ...opened, prompt, session, plan };
}

/** `openSources`, then `preparePrompt`. */
export async function prepare(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Prepared> {
  return preparePrompt(await openSources(request, device, signal, emit), request, device, signal, emit);
}

/** A session is a convenience: where there can be none, it is said, and everything is read. */
async function findSession(
  { cache, kv = defaultKv, quantize, mmproj }: AskRequest,
  files: ModelFiles,
  device: Device,
  sources: readonly IngestedSource[],
  prompt: Prompt,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): Promise<Session | undefined> {
  if (cache === undefined) return undefined;
  try {
    return await openSession(cache, { files, mmproj, quantize, kv, device, prompt, sources: sources.map(({ source }) => source.path) }, signal);
  } catch (error) {
    if (signal.aborted) throw abortError(signal);
    emit({ type: 'warning', message: `no session is used (${(error as Error).message})` });
    return undefined;
  }
}

/** The sources as segments; models that hear and read pictures are loaded for as long as that takes, and only if there is something for them. */
async function ingestAll(request: Omit<AskRequest, 'question'>, files: ModelFiles, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<IngestedSource[]> {
  const { pdfTimeoutMs, speech, see, range, cache } = request;
  const sees = files.visionPlaces !== null;
  const hearing = new Hearing(speech, device, { language: request.language, keep: cache === undefined ? null : speechFolder(cache.folder) });
  const reader = sees || see === undefined ? null : await openPictureReader(see, device);
  try {
    return await ingest(request.paths, {
      signal,
      onProgress: (progress) => emit({ type: 'ingest', ...progress }),
      pages: request.pages,
      password: request.password,
      ...(cache ? { remember: rememberIn(textsFolder(cache.folder)) } : {}),
      images: sees ? true : noImages(files),
      ...(reader ? { readImage: (image: Raster) => reader.read(image, signal) } : {}),
      pageImages: files.config.vision ? { which: request.pagesAsImages === true ? 'all' : 'textless', edge: pageEdge(files.config.vision.imageSize, request.tiles ?? defaultTiles) } : undefined,
      media: {
        speech: () => hearing.open(),
        vision: videoVision(request, files) ?? (reader ? { ...filmFrames(request), reader, keep: cache === undefined ? null : picturesFolder(cache.folder) } : `${files.id} reads text only`),
        range: range ?? { from: 0, to: Infinity },
        ranged: range !== undefined,
      },
      limits: pdfTimeoutMs === undefined ? {} : { documentMs: pdfTimeoutMs, pageMs: pdfTimeoutMs },
    });
  } finally {
    await hearing.close();
    await reader?.close();
  }
}

async function openPictureReader(...options: Parameters<typeof PictureReader.open>): Promise<PictureReader> {
  const { PictureReader: see } = await import('../see/picture-reader.js');
  return see.open(...options);
}

/** Where soft tokens are kept; undefined: they are not, or there are none. */
async function keptImages({ cache }: AskRequest, { visionPlaces }: ModelFiles, { images = [] }: Prompt, device: Device, signal: AbortSignal): Promise<KeptImages | undefined> {
  if (cache === undefined || !visionPlaces || images.length === 0) return undefined;
  const { imagesFolder, KeptImages: store } = await import('./kept-images.js');
  return store.open(imagesFolder(cache.folder), visionPlaces, device, signal);
}

function filmFrames({ frames = defaultFrames }: Omit<AskRequest, 'question'>): Pick<VideoVision, 'fps' | 'frames'> {
  return { fps: frames.fps, frames: frames.choice };
}

function videoVision(request: Omit<AskRequest, 'question'>, { config, visionPlaces }: ModelFiles): VideoVision | null {
  if (!visionPlaces || !config.vision) return null;
  const { imageSize, tokensPerImage } = config.vision;
  // In parts only where that is asked for: pictures are many.
  const { tiles = defaultTiles } = request;
  const whole = tiles !== 'auto' && tiles > 0;
  return { ...filmFrames(request), imageSize, whole, most: Math.ceil(config.maxPositions / tokensPerImage) };
}

/** Pixels of a page's longer side, so that each of its crops is as sharp as the tower sees; at least two crops', at most four's. */
function pageEdge(imageSize: number, tiles: Tiles): number {
  return imageSize * (tiles === 'auto' ? 2 : Math.min(4, Math.max(2, tiles)));
}

/** Why a model refuses images, and what to do. */
function noImages({ id }: ModelFiles): string {
  return `and ${id} reads text only; name the folder of a Gemma 3 that sees (4B, 12B or 27B) with -m, or its GGUF file with -m and its vision part with --mmproj`;
}

/** What `ask` would do: ingest and tokenise, compute nothing. */
export async function planAsk(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Plan> {
  const { plan, session } = await prepare(request, device, signal, emit);
  await session?.close();
  return plan;
}

/**
 * Errors: LodestoneError with unreadableInput, badModel, contextExceeded, outOfMemory; the signal's reason on abort.
 */
export async function ask(request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
  return answerWhole(await prepare(request, device, signal, emit), request, device, signal, emit);
}

/**
 * Reads everything that was prepared, and closes its session. Errors as `ask`.
 * @param loaded the model, where the caller has it already and closes it
 */
export async function answerWhole(prepared: Prepared, request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void, loaded?: Model): Promise<Answer> {
  try {
    checkFits(prepared.plan);
    return await answerPrepared(prepared, request, device, signal, emit, loaded);
  } finally {
    await prepared.session?.close();
  }
}

async function answerPrepared(prepared: Prepared, request: AskRequest, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void, loaded: Model | undefined): Promise<Answer> {
  const { files, prompt, session } = prepared;
  const loadStarted = performance.now();
  const model = loaded ?? (await loadModel(files, device, { quantize: request.quantize, images: prompt.images !== undefined, signal }));
  const loadMs = prepared.openMs + performance.now() - loadStarted;
  const hashingEnds = new AbortController();
  try {
    const hashing = request.hashWeights === true ? hashWeights(model.weightFiles, request.cache, hashingEnds.signal) : undefined;
    hashing?.catch(() => undefined);
    const kept = await keptImages(request, files, prompt, device, signal);
    const encode = (from: number, to: number): Promise<Float32Array[]> => encodeImages(model, (prompt.images ?? []).slice(from, to), signal, emit, kept);
    const show = withPlaces(prompt, prepared.sources, beforeLook(model, request, emit));
    const whole = await readEverything(model, request, prompt, signal, show, { session, encode });
    const chosen = await secondLook(model, request, prepared.sources, whole.reading, signal, emit);
    const sha256 = await hashing;
    const answer = makeAnswer({ ...prepared, input: prompt.ids.length, request, device, model, loadMs, whole, chosen, ...(sha256 === undefined ? {} : { sha256 }) });
    emit({ type: 'answer', answer });
    return answer;
  } finally {
    hashingEnds.abort();
    if (!loaded) await model.close();
  }
}

/** What the second look may change is not shown before it. */
export function beforeLook(model: Pick<Model, 'config'>, request: ReadRequest, emit: (event: AskEvent) => void): (event: AskEvent) => void {
  return looksAgain(model, request)
    ? (event) => {
        if (event.type !== 'token') emit(event);
      }
    : emit;
}

export function hashWeights(files: readonly string[], cache: CacheOptions | undefined, signal: AbortSignal): Promise<string> {
  return cache ? knownSha256(files, hashesFolder(cache.folder), signal) : sha256OfFiles(files, signal);
}
