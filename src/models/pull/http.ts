/**
 * Requests as a download needs them: redirects followed by hand, so that a token never leaves the host it is for; what may
 * pass is tried again after a pause, what will not is one clear line.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, ExitCode, LodestoneError } from '../../errors.js';

export interface HttpOptions {
  /** For the endpoint's own host and nobody else. */
  readonly token: string | null;
  /** Where the token belongs. */
  readonly endpoint: string;
  readonly signal: AbortSignal;
  /** Before the second try, ms; doubled for each further one. */
  readonly backoffMs: number;
  /** Tries without a single byte of progress. */
  readonly attempts: number;
  /** Give a connection up when nothing comes for so long, ms. */
  readonly idleMs: number;
}

/** May pass: a dropped connection, a busy server. */
export class Transient extends Error {
  constructor(
    message: string,
    /** The server's own wish, ms. */
    readonly retryAfterMs: number | null = null,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The server said no, with this status; whoever asked knows what it means. */
export class HttpRefusal extends Error {
  constructor(
    readonly status: number,
    readonly host: string,
  ) {
    super(`${host} answered HTTP ${status}`);
  }
}

const mostRedirects = 8;
/** No pause is longer, whatever a server wishes; ms. */
const longestPause = 60_000;

export interface Reply {
  readonly response: Response;
  /** The parts of the body; throws Transient where it breaks off or stalls. */
  chunks(): AsyncGenerator<Uint8Array>;
  /** Body not wanted any more. */
  cancel(): void;
}

/** GET. Errors: Transient, HttpRefusal, the signal's reason. */
export async function get(url: string, headers: Readonly<Record<string, string>>, options: HttpOptions): Promise<Reply> {
  const { signal, idleMs, token } = options;
  const { controller: stop, unlink } = linkedController(signal);
  let stalled = false;
  const giveUp = (): void => {
    stalled = true;
    stop.abort();
  };
  let timer = setTimeout(giveUp, idleMs);
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(giveUp, idleMs);
  };
  const done = (): void => {
    clearTimeout(timer);
    unlink();
  };
  const fail = (cause: unknown): Error => {
    done();
    if (signal.aborted) return abortError(signal);
    if (stalled) return new Transient(`${hostOf(url)} sent nothing for ${idleMs / 1e3} s`);
    return cause instanceof HttpRefusal || cause instanceof Transient ? cause : new Transient(reasonOf(cause), null, { cause });
  };
  try {
    const home = new URL(options.endpoint).origin;
    let at = new URL(url);
    for (let redirects = 0; ; redirects++) {
      const authorized = token !== null && at.origin === home ? { authorization: `Bearer ${token}` } : {};
      const response = await fetch(at, { headers: { 'accept-encoding': 'identity', 'user-agent': 'lodestone', ...headers, ...authorized }, redirect: 'manual', signal: stop.signal });
      const location = response.headers.get('location');
      if (response.status >= 300 && response.status < 400 && location !== null) {
        await response.body?.cancel();
        if (redirects >= mostRedirects) throw new Transient(`${at.host} redirects in circles`);
        at = redirected(at, location);
        continue;
      }
      if (!response.ok) await refuse(response, at.host);
      return {
        response,
        async *chunks() {
          const reader = response.body?.getReader();
          try {
            for (;;) {
              const { done: ended, value } = reader ? await readOrStop(reader, stop.signal) : { done: true, value: undefined };
              if (ended) return;
              alive();
              yield value!;
            }
          } catch (cause) {
            throw fail(cause);
          } finally {
            done();
          }
        },
        cancel() {
          done();
          stop.abort();
        },
      };
    }
  } catch (cause) {
    throw fail(cause);
  }
}

/** A controller that is aborted with `signal`, and on its own. */
export function linkedController(signal: AbortSignal): { readonly controller: AbortController; readonly unlink: () => void } {
  const controller = new AbortController();
  const follow = (): void => controller.abort(signal.reason);
  if (signal.aborted) follow();
  else signal.addEventListener('abort', follow, { once: true });
  return { controller, unlink: () => signal.removeEventListener('abort', follow) };
}

/** fetch leaves a read that is under way hanging, now and then, when its signal fires (seen with Node 20). */
function readOrStop(reader: ReadableStreamDefaultReader<Uint8Array>, signal: AbortSignal): ReturnType<typeof reader.read> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Error('stopped'));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    reader.read().then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (to === null || (to.protocol !== 'https:' && to.protocol !== 'http:')) throw new Transient(`${from.host} redirects to ${JSON.stringify(location)}`);
  return to;
}

/** Throws Transient where the same request may succeed later, else HttpRefusal. */
async function refuse(response: Response, host: string): Promise<never> {
  await response.body?.cancel();
  const { status } = response;
  if (status !== 408 && status !== 429 && status < 500) throw new HttpRefusal(status, host);
  const wish = Number(response.headers.get('retry-after') ?? NaN);
  throw new Transient(`${host} answered HTTP ${status}`, Number.isFinite(wish) && wish >= 0 ? wish * 1e3 : null);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}

/** fetch hides why it failed in its cause. */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause;
  return cause instanceof Error ? (cause.message || String((cause as NodeJS.ErrnoException).code)) : (error as Error).message;
}

/**
 * Tries until it succeeds or fails for good. `attempt` calls `progressed` when a byte has come, and then may try again as
 * often as at first.
 * Errors: LodestoneError(badModel) when the last try was Transient; whatever else `attempt` throws.
 */
export async function withRetries<T>(
  what: string,
  options: HttpOptions,
  attempt: (progressed: () => void) => Promise<T>,
  remedy = 'what has come is kept, the same command goes on from there',
): Promise<T> {
  let failures = 0;
  for (;;) {
    try {
      return await attempt(() => {
        failures = 0;
      });
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      failures++;
      if (failures >= options.attempts) {
        throw new LodestoneError(ExitCode.badModel, `${what}: ${error.message}, ${failures} times; ${remedy}`, { cause: error });
      }
      const pause = error.retryAfterMs ?? options.backoffMs * 2 ** (failures - 1) * (0.75 + Math.random() / 2);
      await sleep(Math.min(longestPause, pause), undefined, { signal: options.signal }).catch(() => {
        throw abortError(options.signal);
      });
    }
  }
}
