/** `ask`, answered by a server: the same sources, prompt and citations, another engine. */
import { chat, openEndpoint, type EndpointOptions } from '../endpoint/client.js';
import { chatPrompt, parseAnswer } from '../encode/prompt.js';
import { ingest } from '../ingest/ingest.js';
import { sourceName } from '../ingest/name.js';
import type { Answer, AskEvent, SourceSummary } from './answer.js';
import type { AskRequest } from './ask.js';
import { cite } from './citations.js';
import { unknownNames } from './names.js';

/** What a server does not tell is null; the rest is as in every answer. */
export interface EndpointAnswer extends Omit<Answer, 'confidence' | 'readings' | 'model' | 'device' | 'sources'> {
  readonly confidence: null;
  readonly readings: readonly [];
  readonly model: { readonly id: string; readonly quantization: null; readonly kv: null; readonly context: number | null };
  readonly device: { readonly name: 'endpoint'; readonly adapter: string };
  readonly sources: readonly (Omit<SourceSummary, 'tokens'> & { readonly tokens: null })[];
}

export type EndpointEvent = Exclude<AskEvent, { type: 'answer' }> | { readonly type: 'answer'; readonly answer: EndpointAnswer };

export type EndpointRequest = Pick<AskRequest, 'question' | 'paths' | 'pages' | 'password' | 'pdfTimeoutMs' | 'sampling' | 'maxTokens'>;

/** Errors: LodestoneError with unreadableInput, and those of `openEndpoint` and `chat`. Emits ingest, warning, token and answer events. */
export async function askEndpoint(request: EndpointRequest, options: EndpointOptions, emit: (event: EndpointEvent) => void): Promise<EndpointAnswer> {
  const { question, pdfTimeoutMs, sampling, maxTokens } = request;
  const { signal } = options;
  const started = performance.now();
  const sources = await ingest(request.paths, {
    signal,
    onProgress: (progress) => emit({ type: 'ingest', ...progress }),
    pages: request.pages,
    password: request.password,
    images: 'and --endpoint sends text only',
    limits: pdfTimeoutMs === undefined ? {} : { documentMs: pdfTimeoutMs, pageMs: pdfTimeoutMs },
  });
  for (const { source, warnings } of sources) {
    for (const warning of warnings) emit({ type: 'warning', message: `${sourceName(source.path)}: ${warning}` });
  }
  const ingested = performance.now();
  const endpoint = await openEndpoint(options);
  const opened = performance.now();
  let first = 0;
  const { text, finish, tokens } = await chat(endpoint, { user: chatPrompt(question, sources), maxTokens, sampling }, (piece) => {
    if (first === 0) first = performance.now();
    emit({ type: 'token', text: piece });
  });
  const ended = performance.now();
  const prefillMs = (first || ended) - opened;
  const decodeMs = ended - opened - prefillMs;
  if (finish === 'length') emit({ type: 'warning', message: 'the answer was cut: raise --max-tokens' });
  const { found, answer, needle } = parseAnswer('gemma-chat', text, false);
  const rate = (count: number, ms: number): number => (ms === 0 ? 0 : Math.round((count / ms) * 1e3));
  const input = tokens?.prompt ?? 0;
  const generated = tokens?.generated ?? 0;
  const unknown = found ? [] : unknownNames(question, sources, false);
  const result: EndpointAnswer = {
    schema: 'lodestone.answer/1',
    question,
    answer,
    found,
    confidence: null,
    citations: found ? cite(question, needle, sources) : [],
    ...(unknown.length === 0 ? {} : { unknown_names: unknown }),
    readings: [],
    finish,
    model: { id: endpoint.model, quantization: null, kv: null, context: endpoint.context },
    device: { name: 'endpoint', adapter: endpoint.url },
    tokens: { input, cached: 0, generated, context: input + generated },
    truncated: false,
    timings: {
      ingest_ms: Math.round(ingested - started),
      load_ms: Math.round(opened - ingested),
      prefill_ms: Math.round(prefillMs),
      decode_ms: Math.round(decodeMs),
      look_ms: 0,
      prefill_tps: rate(input, prefillMs),
      decode_tps: rate(generated, decodeMs),
    },
    // Whose tokenizer counts them is the server's business.
    sources: sources.map(({ source, segments }) => ({ path: source.path, kind: source.kind, sha256: source.sha256, ...(source.pages === undefined ? {} : { pages: source.pages }), segments: segments.length, tokens: null })),
  };
  emit({ type: 'answer', answer: result });
  return result;
}
