/** Questions about a text, answered by a model on this machine. */
import type { AskEvent } from '../answer/answer.js';
import { asRead, unknownNames } from '../answer/names.js';
import { answerEach, lookAgain, looksAgain, type ManyReadings } from '../answer/reading.js';
import { chooseReading } from '../answer/second-look.js';
import { encodeDocuments, encodeOpenTurn, encodeQuestion, encodeTurnEnd, type Prompt } from '../encode/prompt.js';
import type { IngestedSource } from '../ingest/segment.js';
import { segmentText } from '../ingest/text.js';
import { defaultChunk, defaultKv, type KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import { SharedPrefix } from '../runtime/shared-prefix.js';
import type { PictureReader } from '../see/picture-reader.js';
import { Film, readingOnce, watch, type FilmPicture } from './film.js';
import type { RecordedDocument } from './recorded.js';
import { ANSWER_TOKENS, type Around, type TokenCounter, type TrialQuestion } from './trial.js';

/** What is asked of whom, in one go: a document, and questions about it. */
export interface Inquiry {
  readonly document: string;
  /** Where the document is the text of a recording. */
  readonly recorded?: RecordedDocument;
  /** Of published prompts: the words before the document. */
  readonly head?: string;
  /** Default: `ANSWER_TOKENS`. */
  readonly answerTokens?: number;
  readonly questions: readonly Pick<TrialQuestion, 'question' | 'published'>[];
}

export interface Response {
  /** After one reading of everything; '' for "not there". */
  readonly once: string;
  /** After the second look too: what `ask` answers. null where it was not taken. */
  readonly twice: string | null;
}

export interface Responses extends Omit<ManyReadings, 'readings'> {
  readonly responses: readonly Response[];
  /** Of the document as it is read, without the question. */
  readonly documentTokens: number;
  readonly lookMs: number;
}

export interface RespondOptions {
  /** As in `ask`: passages of each length that are read again; 0: none. */
  readonly looks: number;
  readonly signal?: AbortSignal;
  /** Of reading: prefill and look events. */
  readonly onEvent?: (event: AskEvent) => void;
}

/** Whatever answers questions about a text: a model, a server, or a stand-in in tests. */
export interface Answerer {
  /** Whether "not found" may come in other words than the prompt's own (`isRefusal`). */
  readonly refusesInWords?: boolean;
  readonly count: TokenCounter;
  /** Reads a film; absent: it sees none. */
  readonly watch?: (seed: number, pictures: readonly FilmPicture[], signal?: AbortSignal) => Promise<IngestedSource>;
  /** The most tokens of a document in a prompt that has `length` tokens with what is around it and the answer. */
  documentTokens(length: number, around?: Around): Promise<number>;
  /** Each answer as if its question were the only one. */
  respond(inquiry: Inquiry, options: RespondOptions): Promise<Responses>;
}

export interface ModelAnswerer extends Answerer {
  /** Gives the memory of what was read back; not the model's. */
  close(): void;
}

/**
 * What a document shares with the one before at its beginning is not read again.
 * @param kv how keys and values are stored
 * @param reader of pictures; it stays the caller's
 */
export function modelAnswerer(model: Model, kv: KvFormats = defaultKv, reader?: PictureReader): ModelAnswerer {
  let prefix: SharedPrefix | null = null;
  return {
    refusesInWords: model.config.prompt === 'gemma-chat',
    ...(reader ? { watch: cinema(reader) } : {}),
    count: async (text) => (await model.tokenizer.encodeText(text)).length,
    documentTokens: (length, around) => documentTokens(model, length, around),
    respond: (inquiry, options) => respond(model, kv, (prefix ??= new SharedPrefix(model, { chunk: defaultChunk, kv })), inquiry, options),
    close() {
      prefix?.close();
      prefix = null;
    },
  };
}

/** Room for the question of `lodestone ask`, in tokens, unless it takes more by itself. */
const QUESTION_TOKENS = 48;

/**
 * Tokens of the document in a prompt of `length`: what is left by the words around it, and the answer. 1 % is kept back,
 * because sentences take a little more in their place than by themselves.
 */
async function documentTokens({ config: { prompt }, tokenizer }: Pick<Model, 'config' | 'tokenizer'>, length: number, { words, answerTokens = ANSWER_TOKENS }: Around = {}): Promise<number> {
  let around: number;
  if (words !== undefined && prompt === 'gemma-chat') {
    around = (await encodeOpenTurn(words, tokenizer)).length + (await encodeTurnEnd('', '', tokenizer)).length;
  } else {
    const source = { path: 'haystack', kind: 'text', bytes: 0, sha256: '' } as const;
    const nothing = await encodeDocuments(prompt, [{ source, segments: [], warnings: [] }], tokenizer);
    around = nothing.ids.length + (await encodeQuestion(prompt, '', tokenizer)).length + QUESTION_TOKENS;
  }
  return Math.max(0, Math.floor((length - around - answerTokens) / 1.01));
}

/** `published`: with the prompt of the suite, which is for chat models; the others have one form, and get document and question. */
async function encode(
  { config, tokenizer }: Model,
  { document, head = '', questions }: Inquiry,
  sources: readonly IngestedSource[],
  signal: AbortSignal,
): Promise<{ readonly documents: Pick<Prompt, 'ids' | 'sourceTokens'>; readonly ends: readonly Uint32Array[] }> {
  const style = config.prompt;
  const ends: Uint32Array[] = [];
  const published = style === 'gemma-chat' && questions.every((one) => one.published !== undefined);
  for (const one of questions) {
    ends.push(published ? await encodeTurnEnd(one.published!.tail, one.published!.prefix, tokenizer) : await encodeQuestion(style, one.question, tokenizer));
  }
  if (!published) return { documents: await encodeDocuments(style, sources, tokenizer, signal), ends };
  const ids = await encodeOpenTurn(head + document, tokenizer, signal);
  return { documents: { ids, sourceTokens: [ids.length] }, ends };
}

async function respond(model: Model, kv: KvFormats, prefix: SharedPrefix, inquiry: Inquiry, options: RespondOptions): Promise<Responses> {
  const { looks, signal = new AbortController().signal, onEvent = () => undefined } = options;
  const { document, recorded, answerTokens: maxTokens = ANSWER_TOKENS, questions } = inquiry;
  const request = { sampling: { temperature: 0 }, maxTokens, chunk: defaultChunk, kv, looks };
  const sources = recorded && recorded.source.segments.length > 0 ? [recorded.source] : textSources(document);
  const { documents, ends } = await encode(model, inquiry, sources, signal);
  const { readings, ...cost } = await answerEach(model, request, documents, ends, prefix, signal, onEvent);
  const started = performance.now();
  const responses: Response[] = [];
  for (const [i, { question }] of questions.entries()) {
    const whole = readings[i]!;
    const again = looksAgain(model, request);
    const read = again ? asRead(question, unknownNames(question, sources, true)) : question;
    const found = again ? await lookAgain(model, { ...request, question: read }, sources, signal, onEvent) : [];
    responses.push({ once: whole.parsed.answer, twice: again ? chooseReading(read, whole, found).parsed.answer : null });
  }
  return { ...cost, responses, documentTokens: documents.ids.length, lookMs: performance.now() - started };
}

function textSources(document: string): IngestedSource[] {
  const source = { path: 'haystack', kind: 'text', bytes: document.length, sha256: '' } as const;
  return [{ source, segments: segmentText(source.path, 0, document), warnings: [] }];
}

/** Films by their seed, whose pictures are drawn and read once. */
function cinema(reader: PictureReader): NonNullable<Answerer['watch']> {
  const once = readingOnce(reader);
  const films = new Map<number, Promise<Film>>();
  return async (seed, pictures, signal) => {
    const film = films.get(seed) ?? Film.open(seed);
    films.set(seed, film);
    return watch(await film, pictures, once, signal);
  };
}
