import { lookAgain, readEverything } from '../answer/reading.js';
import { chooseReading, defaultLooks } from '../answer/second-look.js';
import { buildPrompt } from '../encode/prompt.js';
import { segmentText } from '../ingest/text.js';
import { defaultChunk } from '../runtime/kv.js';
import type { Model } from '../runtime/model.js';

export interface Response {
  /** After one reading of everything; '' for "not there". */
  readonly once: string;
  /** After the second look too; the same as `once` where it was not asked for. */
  readonly twice: string;
}

/** The model's answer to a question about plain text, greedy, as `lodestone ask` gives it. */
export async function respond(model: Model, document: string, question: string, options: { readonly lookAgain: boolean }): Promise<Response> {
  const source = { path: 'haystack', kind: 'text', bytes: document.length, sha256: '' } as const;
  const sources = [{ source, segments: segmentText(source.path, 0, document), warnings: [] }];
  const request = { question, sampling: { temperature: 0 }, maxTokens: 32, chunk: defaultChunk, looks: defaultLooks };
  const signal = new AbortController().signal;
  const ignore = (): void => undefined;
  const prompt = await buildPrompt(model.config.prompt, question, sources, model.tokenizer);
  const { reading } = await readEverything(model, request, prompt, signal, ignore);
  const looks = options.lookAgain ? await lookAgain(model, request, sources, signal, ignore) : [];
  return { once: reading.parsed.answer, twice: chooseReading(question, reading, looks).parsed.answer };
}
