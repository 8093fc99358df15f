/**
 * `ask` within a budget. What fits it is read whole; of what does not, an index is made (or found), and a strategy reads leaves until it
 * answers, says that the answer is not there, or has used up what it may. Citations point into what was read.
 */
import type { Answer, AskEvent, Budget, BudgetStep, BudgetTrace, Plan } from '../answer/answer.js';
import { answerWhole, hashWeights, makePlan, openSources, preparePrompt, summarise, type AskRequest, type Opened } from '../answer/ask.js';
import { cite } from '../answer/citations.js';
import { cutMessage, summariseReading } from '../answer/make-answer.js';
import { unknownNames } from '../answer/names.js';
import type { Device } from '../device/device.js';
import type { Prompt } from '../encode/prompt.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { sourceName } from '../ingest/name.js';
import type { IngestedSource, Segment } from '../ingest/segment.js';
import { defaultKv } from '../runtime/kv.js';
import { loadModel, type Model, type ModelFiles } from '../runtime/model.js';
import { Bm25, buildIndex } from './bm25.js';
import { textTokens } from './costs.js';
import { indexesFolder, indexKey, rememberIndex } from './index-file.js';
import { leafReader, type RealReading } from './leaf-reader.js';
import { cutLeaves, LeafTexts } from './leaves.js';
import { readWithin, type ReadWithin, type TakenStep } from './read-within.js';
import { passagesOf, ReadingState, spanText, type Corpus, type Evidence } from './reading-state.js';
import { measureRate } from './rate.js';
import { shippedStrategy, type ShippedStrategy } from './shipped-strategy.js';

/** What the whole budget costs, in right answers: little, so that it is used where that helps. */
const BUDGET_COST = 0.02;

/** No text has fewer tokens than its characters divided by this; so what must be more than the budget is not tokenised to be counted. */
const MOST_CHARACTERS_PER_TOKEN = 16;

/** Part of the time that is planned with; the rest is for what takes longer than thought. */
const PLANNED_TIME = 0.9;

function charactersOf(sources: readonly IngestedSource[]): number {
  return sources.reduce((sum, { segments }) => sum + segments.reduce((all, { text }) => all + text.length, 0), 0);
}

/** The sources' text, cut and indexed. */
interface Library {
  readonly corpus: Corpus;
  readonly texts: LeafTexts;
  /** Estimated. */
  readonly tokens: number;
  readonly kept: boolean;
  readonly ms: number;
}

async function openLibrary(sources: readonly IngestedSource[], request: AskRequest): Promise<Library> {
  const started = performance.now();
  const texts = new LeafTexts(sources, cutLeaves(sources));
  if (texts.leaves.length === 0) throw new LodestoneError(ExitCode.unreadableInput, `${sourceName(sources[0]!.source.path)}: --budget chooses among text and speech, and there is none; leave it out to have everything looked at`);
  const folder = request.cache ? indexesFolder(request.cache.folder) : null;
  const { index, kept } = await rememberIndex(folder, indexKey(sources), () => buildIndex(leafTexts(texts)));
  const { leaves } = texts;
  const text = (leaf: number): string => texts.text(leaf);
  const corpus: Corpus = { index: new Bm25(index), text, passages: (level, span, weights) => passagesOf(level, spanText({ text }, span), weights), continues: (leaf) => leaves[leaf + 1]?.source === leaves[leaf]!.source };
  return { corpus, texts, tokens: textTokens(charactersOf(sources)), kept, ms: performance.now() - started };
}

function* leafTexts(texts: LeafTexts): Generator<string> {
  for (let leaf = 0; leaf < texts.leaves.length; leaf++) yield texts.text(leaf);
}

function warnOfImages(sources: readonly IngestedSource[], emit: (event: AskEvent) => void): void {
  for (const { source, segments } of sources) {
    const images = segments.filter(({ image }) => image).length;
    if (images > 0) emit({ type: 'warning', message: `${sourceName(source.path)}: ${images} of its pictures are not looked at: --budget chooses among text and speech` });
  }
}

/** Of a chat model's prompt, around documents and question. */
const FORM_TOKENS = 256;

/** The tokens that a model's context leaves for leaves; passages of an extractive model are read one by one. Errors: LodestoneError(contextExceeded). */
function contextRoom({ config, id }: Pick<ModelFiles, 'config' | 'id'>, request: AskRequest): number {
  if (config.prompt === 'qa') return Infinity;
  const room = config.maxPositions - request.maxTokens - FORM_TOKENS - textTokens(request.question.length);
  if (room <= 0) throw new LodestoneError(ExitCode.contextExceeded, `${id} holds ${config.maxPositions} tokens: too few for the question, an answer of ${request.maxTokens} tokens (--max-tokens) and anything to read`);
  return room;
}

/** A plan of what may be read: its tokens are the budget's. */
function planPart(opened: Opened, request: AskRequest, device: Device, library: Library, budget: number, trace: NonNullable<Plan['budget']>): Plan {
  const { files, sources } = opened;
  const sourceTokens = sources.map((entry) => textTokens(charactersOf([entry])));
  // An extractive model holds one passage at a time.
  const held = files.config.prompt === 'qa' ? Math.min(budget, 512) : budget;
  const imagined: Prompt = { ids: new Uint32Array(held), sourceTokens, segmentEnds: [], sourceEnds: [] };
  const plan = makePlan(files, device, request, imagined, 0, summarise(sources, imagined));
  return { ...plan, tokens: { ...plan.tokens, prompt: budget }, budget: trace };
}

interface Started {
  readonly opened: Opened;
  readonly library: Library;
  readonly strategy: ShippedStrategy;
  readonly plan: Plan;
}

/** @param affordable tokens that the budget buys */
async function start(request: AskRequest, budget: Budget, affordable: number, opened: Opened, device: Device, emit: (event: AskEvent) => void): Promise<Started> {
  warnOfImages(opened.sources, emit);
  const library = await openLibrary(opened.sources, request);
  emit({ type: 'index', leaves: library.texts.leaves.length, corpus_tokens: library.tokens, kept: library.kept, ms: Math.round(library.ms) });
  const strategy = await shippedStrategy();
  const trace = { asked: budget, by: strategy.strategy.name, trained: strategy.trained, leaves: library.texts.leaves.length, corpus_tokens: library.tokens };
  const tokens = Math.min(affordable, library.tokens, contextRoom(opened.files, request));
  const plan = planPart(opened, request, device, library, tokens, trace);
  emit({ type: 'plan', plan });
  return { opened, library, strategy, plan };
}

/** Whether everything fits a budget in tokens, told without tokenising where it is far larger. */
function mayFit(sources: readonly IngestedSource[], budget: Budget): budget is { readonly tokens: number } {
  return 'tokens' in budget && charactersOf(sources) <= budget.tokens * MOST_CHARACTERS_PER_TOKEN;
}

/** What `askWithin` would do; computes nothing but the index. */
export async function planWithin(request: AskRequest, budget: Budget, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Plan> {
  const opened = await openSources(request, device, signal, emit);
  if (mayFit(opened.sources, budget)) {
    const held: AskEvent[] = [];
    const { plan, session } = await preparePrompt(opened, request, device, signal, (event) => held.push(event));
    await session?.close();
    if (plan.tokens.prompt <= budget.tokens) {
      held.forEach(emit);
      return plan;
    }
  }
  // What a time buys is known when the model has read something.
  return (await start(request, budget, 'tokens' in budget ? budget.tokens : Infinity, opened, device, emit)).plan;
}

/** Errors: as `ask`, but for contextExceeded where something can be left unread. */
export async function askWithin(request: AskRequest, budget: Budget, device: Device, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
  const began = performance.now();
  const opened = await openSources(request, device, signal, emit);
  if (mayFit(opened.sources, budget)) {
    const held: AskEvent[] = [];
    const prepared = await preparePrompt(opened, request, device, signal, (event) => held.push(event));
    if (prepared.plan.tokens.prompt <= budget.tokens) {
      held.forEach(emit);
      return answerWhole(prepared, request, device, signal, emit);
    }
    await prepared.session?.close();
  }
  const loading = performance.now();
  const model = await loadModel(opened.files, device, { quantize: request.quantize, images: false, signal });
  const loadMs = opened.openMs + performance.now() - loading;
  try {
    const affordable = 'tokens' in budget ? budget.tokens : await tokensIn(budget.seconds, began, opened.sources, model, request, signal);
    if ('seconds' in budget && !hasImages(opened.sources) && wholeTokens(opened.sources) <= affordable) {
      return await answerWhole(await preparePrompt(opened, request, device, signal, emit), request, device, signal, emit, model);
    }
    const started = await start(request, budget, affordable, opened, device, emit);
    return await answerPart(started, request, budget, began, device, model, loadMs, signal, emit);
  } finally {
    await model.close();
  }
}

function hasImages(sources: readonly IngestedSource[]): boolean {
  return sources.some(({ segments }) => segments.some(({ image }) => image));
}

/** Estimated, with the second look, and rather too many: who has a time wants it kept. */
function wholeTokens(sources: readonly IngestedSource[]): number {
  return 1.25 * textTokens(charactersOf(sources)) + 2000;
}

/** What can be read in the rest of a time. */
async function tokensIn(seconds: number, began: number, sources: readonly IngestedSource[], model: Model, request: AskRequest, signal: AbortSignal): Promise<number> {
  const text = sources.flatMap(({ segments }) => segments).find((segment) => segment.text.trim() !== '')?.text ?? '';
  const rate = await measureRate(model, request, text, signal);
  return Math.floor(rate * Math.max(0, seconds - (performance.now() - began) / 1e3) * PLANNED_TIME);
}

async function answerPart(started: Started, request: AskRequest, budget: Budget, began: number, device: Device, model: Model, loadMs: number, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<Answer> {
  const hashingEnds = new AbortController();
  try {
    const hashing = request.hashWeights === true ? hashWeights(model.weightFiles, request.cache, hashingEnds.signal) : undefined;
    hashing?.catch(() => undefined);
    const reading = performance.now();
    const read = await readPart(started, request, budget, began, model, signal, emit);
    const answer = toAnswer(started, request, device, model, read, { loadMs, readMs: performance.now() - reading }, await hashing);
    const last = read.ending === 'answer' ? read.state.best().evidence?.reading.result : undefined;
    if (answer.found) emit({ type: 'token', text: answer.answer });
    if (last && last.finish !== 'stop') emit({ type: 'warning', message: cutMessage(last) });
    emit({ type: 'answer', answer });
    return answer;
  } finally {
    hashingEnds.abort();
  }
}

interface ReadPart extends ReadWithin {
  readonly state: ReadingState<RealReading>;
}

async function readPart({ opened, library, strategy, plan }: Started, request: AskRequest, budget: Budget, began: number, model: Model, signal: AbortSignal, emit: (event: AskEvent) => void): Promise<ReadPart> {
  const { texts } = library;
  const seconds = 'seconds' in budget ? budget.seconds : Infinity;
  const left = (): number => seconds - (performance.now() - began) / 1e3;
  const tokens = Math.min(plan.tokens.prompt, strategy.mostTokens);
  const reader = leafReader(model, request, texts, opened.sources);
  try {
    const terms = { budget: tokens, lambda: BUDGET_COST / Math.max(1, tokens / 1000) };
    const state = new ReadingState<RealReading>(library.corpus, request.question, terms, reader.costOf);
    let longest = 0;
    let before = performance.now();
    let number = 0;
    const onStep = (step: TakenStep): void => {
      longest = Math.max(longest, (performance.now() - before) / 1e3);
      before = performance.now();
      emit({ type: 'step', number: ++number, ...toStep(step, library, opened.sources) });
    };
    const result = await readWithin(state, strategy.strategy, reader, { signal, timeIsUp: () => left() < longest, onStep });
    emit({ type: 'stop', reason: result.stopped, tokens: state.spent, steps: number, corpus_tokens: library.tokens, gain: result.gain });
    return { ...result, state };
  } finally {
    reader.close();
  }
}

function toStep({ action, tokens, answer, worth, gain }: TakenStep, { texts }: Library, sources: readonly IngestedSource[]): BudgetStep {
  const done = { action: action.kind as BudgetStep['action'], tokens, answer, worth, gain };
  if (!('leaf' in action)) return done;
  const { source, from, to } = texts.leaves[action.leaf]!;
  const { page, line, time } = texts.segments(source, from, to)[0]!;
  return {
    ...done,
    source: sources[source]!.source.path,
    ...(page === undefined ? {} : { page }),
    ...(line === undefined ? {} : { line }),
    ...(time === undefined ? {} : { time: time[0] }),
  };
}

/** The sources as far as they were read for one answer. */
function onlyRead(sources: readonly IngestedSource[], segments: readonly Segment[]): IngestedSource[] {
  return sources.map((entry, source) => ({ ...entry, segments: segments.filter((segment) => segment.source === source) }));
}

function toAnswer(
  { opened, library, plan }: Started,
  request: AskRequest,
  device: Device,
  model: Model,
  { state, steps, ending, stopped, gain }: ReadPart,
  { loadMs, readMs }: { readonly loadMs: number; readonly readMs: number },
  sha256: string | undefined,
): Answer {
  const best: Evidence<RealReading> | null = ending === 'answer' ? state.best().evidence : null;
  const result = best?.reading.result;
  const unknown = result === undefined ? unknownNames(request.question, opened.sources, false) : [];
  const generated = state.evidence.reduce((sum, { reading }) => sum + reading.result.tokens, 0);
  const trace: BudgetTrace = {
    ...plan.budget!,
    index_ms: Math.round(library.ms),
    index_kept: library.kept,
    steps: steps.map((step) => toStep(step, library, opened.sources)),
    stopped,
    gain,
  };
  return {
    schema: 'lodestone.answer/1',
    question: request.question,
    answer: result?.parsed.answer ?? '',
    found: result !== undefined,
    confidence: result?.confidence ?? Math.max(0, ...state.evidence.filter(({ reading }) => !reading.found).map(({ reading }) => reading.confidence)),
    citations: best && result ? cite(request.question, result.parsed.needle, onlyRead(opened.sources, best.reading.segments)) : [],
    ...(unknown.length === 0 ? {} : { unknown_names: unknown }),
    readings: state.evidence.map((one) => summariseReading({ ...one.reading.result, passage: { segments: one.reading.piece, relevance: one.relevance } })),
    finish: result?.finish ?? 'stop',
    model: { id: model.id, ...(sha256 === undefined ? {} : { sha256 }), quantization: model.quantization, kv: request.kv ?? defaultKv, context: model.config.maxPositions },
    device: { name: device.name, adapter: device.description },
    tokens: { input: state.spent, cached: 0, generated, context: state.spent + generated },
    truncated: false,
    timings: {
      ingest_ms: Math.round(opened.ingestMs),
      load_ms: Math.round(loadMs),
      prefill_ms: Math.round(readMs),
      decode_ms: 0,
      look_ms: 0,
      prefill_tps: Math.round((state.spent / Math.max(1, readMs)) * 1e3),
      decode_tps: 0,
    },
    sources: plan.sources,
    budget: trace,
  };
}
