/**
 * An OpenAI-compatible server (vLLM, llama.cpp, Ollama and others): POST /chat/completions, streamed, and GET /models. The
 * key comes from the environment and is sent to this server alone; redirects are not followed.
 */
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { linkedController, Transient, withRetries } from '../models/pull/http.js';
import type { Sampling } from '../device/sampling.js';
import { clean } from '../ui/format.js';

export interface EndpointOptions {
  /** With or without `/v1`, or that of `/chat/completions` itself. */
  readonly url: string;
  /** Default: the only one that the server has. */
  readonly model?: string | undefined;
  readonly key: string | null;
  /** A server that sends nothing for so long is given up, in milliseconds; long prompts take their time. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** Before the second try, in milliseconds; doubled for each further one. */
  readonly backoffMs?: number;
}

export interface Endpoint extends EndpointOptions {
  /** Without a slash at its end. */
  readonly url: string;
  readonly model: string;
  /** Tokens that the model holds; null: the server does not say. */
  readonly context: number | null;
}

export interface ChatRequest {
  readonly user: string;
  readonly maxTokens: number;
  readonly sampling: Sampling;
}

export interface ChatReply {
  readonly text: string;
  readonly finish: 'stop' | 'length';
  /** As the server counts them; null where it does not say. */
  readonly tokens: { readonly prompt: number; readonly generated: number } | null;
}

const attempts = 4;
const defaultBackoffMs = 500;

/** Errors: LodestoneError(usage) where it is no address of a server. */
export function endpointUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '') {
    throw new LodestoneError(ExitCode.usage, `--endpoint ${clean(text)}: an address such as http://localhost:8000/v1 is needed; a key goes into LODESTONE_API_KEY`);
  }
  const path = url.pathname.replace(/\/+$/u, '').replace(/\/(?:chat\/completions|models)$/u, '');
  return `${url.origin}${path === '' ? '/v1' : path}`;
}

/** Asks for the server's models. Errors: LodestoneError(usage), (badModel) with what to do. */
export async function openEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const url = endpointUrl(options.url);
  const body = await exchange({ ...options, url }, '/models', null, async (response) => (await response.json()) as { data?: { id?: string; max_model_len?: number; meta?: { n_ctx_train?: number } }[] });
  const models = Array.isArray(body.data) ? body.data.filter(({ id }) => typeof id === 'string') : [];
  const wanted = options.model === undefined ? (models.length === 1 ? models[0] : undefined) : models.find(({ id }) => id === options.model);
  if (options.model === undefined && wanted === undefined) {
    const names = models.slice(0, 10).map(({ id }) => clean(id!)).join(', ');
    throw new LodestoneError(ExitCode.usage, `--endpoint ${url}: ${models.length === 0 ? 'lists no models' : `has several models (${names})`}; choose with --endpoint-model`);
  }
  const context = wanted?.max_model_len ?? wanted?.meta?.n_ctx_train ?? null;
  return { ...options, url, model: options.model ?? wanted!.id!, context };
}

/**
 * One answer. `onText` is given its parts as they come; before the first, what may pass is tried again.
 * Errors: LodestoneError(contextExceeded) where the server says that the prompt is too long, (badModel) otherwise.
 */
export async function chat(endpoint: Endpoint, { user, maxTokens, sampling }: ChatRequest, onText: (text: string) => void = () => undefined): Promise<ChatReply> {
  const { temperature, topK, topP, minP, seed } = sampling;
  const body = {
    model: endpoint.model,
    messages: [{ role: 'user', content: user }],
    max_tokens: maxTokens,
    temperature,
    // Not every server knows these: they are sent where they change anything.
    ...(topP === undefined || topP === 1 ? {} : { top_p: topP }),
    ...(topK === undefined || topK === 0 ? {} : { top_k: topK }),
    ...(minP === undefined || minP === 0 ? {} : { min_p: minP }),
    ...(temperature === 0 || seed === undefined ? {} : { seed }),
    stream: true,
    stream_options: { include_usage: true },
  };
  let begun = false;
  const read = (response: Response, alive: () => void): Promise<ChatReply> =>
    readChat(response, alive, (text) => {
      begun = true;
      onText(text);
    });
  return exchange(endpoint, '/chat/completions', body, read, () => begun);
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: { readonly content?: string | null }; readonly message?: { readonly content?: string | null }; readonly finish_reason?: string | null }[];
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number } | null;
  readonly error?: { readonly message?: string } | string;
}

/** Server-sent events, or, of a server that does not stream, one object. */
async function readChat(response: Response, alive: () => void, onText: (text: string) => void): Promise<ChatReply> {
  let text = '';
  let finish: ChatReply['finish'] = 'stop';
  let tokens: ChatReply['tokens'] = null;
  let whole = false;
  const take = (chunk: Chunk): void => {
    if (chunk.error !== undefined) throw new LodestoneError(ExitCode.badModel, `the server stopped: ${clean(typeof chunk.error === 'string' ? chunk.error : (chunk.error.message ?? 'no reason given'))}`);
    const choice = chunk.choices?.[0];
    const piece = choice?.delta?.content ?? choice?.message?.content ?? '';
    if (piece !== '') {
      text += piece;
      onText(piece);
    }
    if (typeof choice?.finish_reason === 'string') {
      whole = true;
      if (choice.finish_reason === 'length') finish = 'length';
    }
    if (chunk.usage?.prompt_tokens !== undefined) tokens = { prompt: chunk.usage.prompt_tokens, generated: chunk.usage.completion_tokens ?? 0 };
  };
  let pending = '';
  const decoder = new TextDecoder();
  const streamed = response.headers.get('content-type')?.includes('text/event-stream') === true;
  for await (const bytes of response.body ?? []) {
    alive();
    pending += decoder.decode(bytes as Uint8Array, { stream: true });
    if (!streamed) continue;
    const lines = pending.split(/\r?\n/u);
    pending = lines.pop()!;
    for (const line of lines) {
      const data = /^data: ?(.*)$/u.exec(line)?.[1];
      if (data === '[DONE]') whole = true;
      else if (data !== undefined) take(parseJson(data));
    }
  }
  if (!streamed) take(parseJson(pending));
  if (!whole) throw new Transient('the connection ended in the middle of the answer');
  return { text, finish, tokens };
}

function parseJson(text: string): Chunk {
  try {
    return JSON.parse(text) as Chunk;
  } catch (cause) {
    throw new LodestoneError(ExitCode.badModel, `the server sent what is no JSON: ${clean(text.slice(0, 80))}`, { cause });
  }
}

/** @param body null: GET */
async function exchange<T>(
  options: EndpointOptions,
  path: string,
  body: object | null,
  read: (response: Response, alive: () => void) => Promise<T>,
  begun: () => boolean = () => false,
): Promise<T> {
  const { url, key, signal, idleMs, backoffMs = defaultBackoffMs } = options;
  const retries = { token: null, endpoint: url, signal, backoffMs, attempts, idleMs };
  return withRetries(
    url,
    retries,
    async () => {
      const { controller, unlink } = linkedController(signal);
      const giveUp = (): void => controller.abort(new Transient(`nothing came for ${idleMs / 1e3} s`));
      let timer = setTimeout(giveUp, idleMs);
      const alive = (): void => {
        clearTimeout(timer);
        timer = setTimeout(giveUp, idleMs);
      };
      try {
        const response = await fetch(url + path, {
          method: body === null ? 'GET' : 'POST',
          headers: { 'user-agent': 'lodestone', ...(body === null ? {} : { 'content-type': 'application/json' }), ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
          ...(body === null ? {} : { body: JSON.stringify(body) }),
          redirect: 'manual',
          signal: controller.signal,
        });
        if (!response.ok) await refuse(response, options);
        return await read(response, alive);
      } catch (cause) {
        if (signal.aborted) throw abortError(signal);
        const error: unknown = controller.signal.aborted ? controller.signal.reason : cause;
        if (error instanceof LodestoneError) throw error;
        const transient = error instanceof Transient ? error : new Transient(reasonOf(error), null, { cause });
        if (begun()) throw new LodestoneError(ExitCode.badModel, `${url}: the answer broke off (${transient.message})`, { cause });
        throw transient;
      } finally {
        clearTimeout(timer);
        unlink();
      }
    },
    'is the server running, and is this its address?',
  );
}

/** fetch hides why it failed in its cause. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : (error as Error).message;
}

/** The most of an error that is read and shown, in characters. */
const SHOWN = 300;
const TOO_LONG = /context|too long|maximum.*(?:length|tokens)|exceed/iu;

async function refuse(response: Response, { url, key }: EndpointOptions): Promise<never> {
  const { status } = response;
  const text = (await response.text().catch(() => '')).slice(0, 10 * SHOWN);
  let said = text;
  try {
    const { error, message } = JSON.parse(text) as { error?: { message?: string } | string; message?: string };
    said = (typeof error === 'string' ? error : error?.message) ?? message ?? text;
  } catch {
    // Shown as it is.
  }
  const reason = clean(said).replace(/\s+/gu, ' ').trim().slice(0, SHOWN);
  if (status === 408 || status === 429 || status >= 500) {
    const wish = Number(response.headers.get('retry-after') ?? NaN);
    throw new Transient(`HTTP ${status}${reason === '' ? '' : ` (${reason})`}`, Number.isFinite(wish) && wish >= 0 ? wish * 1e3 : null);
  }
  if ((status === 400 || status === 413 || status === 422) && TOO_LONG.test(reason)) throw new LodestoneError(ExitCode.contextExceeded, `${url}: the prompt is too long for the server: ${reason}`);
  const hint =
    status === 401 || status === 403
      ? `; ${key === null ? 'set its key in LODESTONE_API_KEY' : 'the key in LODESTONE_API_KEY or OPENAI_API_KEY is not accepted'}`
      : status === 404
        ? '; is the address right (it ends in /v1 with most servers), and has the server this model?'
        : status >= 300 && status < 400
          ? '; it redirects, which is not followed: give the address itself'
          : '';
  throw new LodestoneError(ExitCode.badModel, `${url}: HTTP ${status}${reason === '' ? '' : `: ${reason}`}${hint}`);
}
