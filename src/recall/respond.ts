/** Questions about a plain text, answered as `lodestone ask` answers them. */
import type { AskEvent } from '../answer/answer.js';
import { askMany, lookAgain, looksAgain, type ManyReadings } from '../answer/reading.js';
import { chooseReading } from '../answer/second-look.js';
import { encodeDocuments } from '../encode/prompt.js';
import type { IngestedSource } from '../ingest/segment.js';
import { segmentText } from '../ingest/text.js';
import { defaultChunk, defaultKv, type KvFormats } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';

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
export const answerTokens = 64;

/** Greedy answers, each as if its question were the only one. */
export async function respond(model: Model, document: string, questions: readonly string[], options: RespondOptions): Promise<Responses> {
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
