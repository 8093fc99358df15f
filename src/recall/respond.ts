/** Questions about a plain text, answered as `lodestone ask` answers them. */
import type { AskEvent } from '../answer/answer.js';
import { askMany, lookAgain, looksAgain, type ManyReadings } from '../answer/reading.js';
import { chooseReading } from '../answer/second-look.js';
import { encodeDocuments, encodeQuestion } from '../encode/prompt.js';
import type { IngestedSource } from '../ingest/segment.js';
import { segmentText } from '../ingest/text.js';
import { defaultChunk, defaultKv, type KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';
import type { TokenCounter } from './trial.js';

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
  /** How keys and values are stored. Default: `defaultKv`. */
  readonly kv?: KvFormats;
  readonly signal?: AbortSignal;
  /** Of reading: prefill and look events. */
  readonly onEvent?: (event: AskEvent) => void;
}

/** The longest answer, in tokens. */
const answerTokens = 64;

/** Whatever answers questions about a text: a model, or a stand-in in tests. */
export interface Answerer {
  /** Whether "not found" may come in other words than the prompt's own (`isRefusal`). */
  readonly refusesInWords?: boolean;
  readonly count: TokenCounter;
  /** The most tokens of a document in a prompt that has `length` tokens with question and answer. */
  documentTokens(length: number): Promise<number>;
  /** Each answer as if its question were the only one. */
  respond(document: string, questions: readonly string[], options: RespondOptions): Promise<Responses>;
}

export function modelAnswerer(model: Model): Answerer {
  return {
    refusesInWords: model.config.prompt === 'gemma-chat',
    count: async (text) => (await model.tokenizer.encodeText(text)).length,
    documentTokens: (length) => documentTokens(model, length),
    respond: (document, questions, options) => respond(model, document, questions, options),
  };
}

/** Room for the question, in tokens, unless it takes more by itself. */
const QUESTION_TOKENS = 48;

/**
 * Tokens of the document in a prompt of `length`: what is left by the prompt's own, a question, and the answer. 1 % is kept
 * back, because sentences take a little more in their place than by themselves.
 */
async function documentTokens(model: Pick<Model, 'config' | 'tokenizer'>, length: number): Promise<number> {
  const { prompt } = model.config;
  const source = { path: 'haystack', kind: 'text', bytes: 0, sha256: '' } as const;
  const nothing = await encodeDocuments(prompt, [{ source, segments: [], warnings: [] }], model.tokenizer);
  const question = await encodeQuestion(prompt, '', model.tokenizer);
  return Math.floor((length - nothing.ids.length - question.length - QUESTION_TOKENS - answerTokens) / 1.01);
}

async function respond(model: Model, document: string, questions: readonly string[], options: RespondOptions): Promise<Responses> {
  const { looks, kv = defaultKv, signal = new AbortController().signal, onEvent = () => undefined } = options;
  const source = { path: 'haystack', kind: 'text', bytes: document.length, sha256: '' } as const;
  const sources: IngestedSource[] = [{ source, segments: segmentText(source.path, 0, document), warnings: [] }];
  const request = { sampling: { temperature: 0 }, maxTokens: answerTokens, chunk: defaultChunk, kv, looks };
  const documents = await encodeDocuments(model.config.prompt, sources, model.tokenizer, signal);
  const { readings, ...cost } = await askMany(model, request, documents, questions, signal, onEvent);
  const started = performance.now();
  const responses: Response[] = [];
  for (const [i, question] of questions.entries()) {
    const whole = readings[i]!;
    const again = looksAgain(model, request);
    const found = again ? await lookAgain(model, { ...request, question }, sources, signal, onEvent) : [];
    responses.push({ once: whole.parsed.answer, twice: again ? chooseReading(question, whole, found).parsed.answer : null });
  }
  return { ...cost, responses, documentTokens: documents.ids.length, lookMs: performance.now() - started };
}
