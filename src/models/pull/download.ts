/**
 * One file, in ranges over several connections, resumed where an earlier run stopped, and checked against its hash.
 *
 * Beside the file NAME, while it grows: NAME.part with the bytes at their places, and NAME.state.json with how far each
 * segment has come. State is written after the bytes it speaks of, so after a crash it says too little, never too much.
 * Once the hash is right, NAME.part becomes NAME.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { abortError, ExitCode, LodestoneError } from '../../errors.js';
import type { FileHash } from './hub.js';
import { get, linkedController, Transient, withRetries, type HttpOptions, type Reply } from './http.js';

/** Bytes from .. to - 1 of a file, of which those before `at` are there. */
interface Segment {
  readonly from: number;
  at: number;
  readonly to: number;
}

interface State {
  readonly size: number;
  readonly hash: FileHash;
  segments: Segment[];
}

export interface Download {
  readonly url: string;
  readonly path: string;
  readonly size: number;
  readonly hash: FileHash;
  /** For messages. */
  readonly name: string;
  readonly connections: number;
  readonly segmentBytes: number;
  readonly http: HttpOptions;
  /** Bytes of this file that are there. */
  readonly onProgress: (done: number) => void;
  /** What a server's refusal means. */
  readonly explain: (error: unknown) => unknown;
}

/** State is written so often while bytes come, ms. */
const saveEvery = 1000;

/** The server sends the whole file whatever part was asked for. */
class RangesIgnored extends Error {}

const partOf = (path: string): string => `${path}.part`;
const stateOf = (path: string): string => `${path}.state.json`;

/** Bytes of a file that are there from earlier: all of it, or some. */
export async function bytesThere({ path, size, hash }: Pick<Download, 'path' | 'size' | 'hash'>): Promise<number> {
  if (await isThere(path, size, hash)) return size;
  const state = await keptState({ path, size, hash });
  return state === null ? 0 : doneOf(state);
}

/** Whether it is there and was found right when it came. */
async function isThere(path: string, size: number, hash: FileHash): Promise<boolean> {
  const info = await stat(path).catch(() => null);
  const state = info?.size === size ? await readState(path, size, hash) : null;
  return state !== null && doneOf(state) === size;
}

/** What an earlier run left of a file that is not finished. */
async function keptState({ path, size, hash }: Pick<Download, 'path' | 'size' | 'hash'>): Promise<State | null> {
  const part = await stat(partOf(path)).catch(() => null);
  const state = part === null ? null : await readState(path, size, hash);
  return state?.segments.every(({ from, at }) => at === from || at <= part!.size) === true ? state : null;
}

const doneOf = ({ segments }: State): number => segments.reduce((sum, { from, at }) => sum + at - from, 0);

/** null where there is none, or it is another file's: of another commit, or damaged. */
async function readState(path: string, size: number, hash: FileHash): Promise<State | null> {
  const state = await readFile(stateOf(path), 'utf8').then((text) => JSON.parse(text) as State | null).catch(() => null);
  if (state?.size !== size || state.hash?.hex !== hash.hex || !Array.isArray(state.segments)) return null;
  let next = 0;
  for (const { from, at, to } of state.segments) {
    if (from !== next || !(at >= from && at <= to && to <= size)) return null;
    next = to;
  }
  return next === size ? state : null;
}

function freshSegments(size: number, bytes: number): Segment[] {
  return Array.from({ length: Math.ceil(size / bytes) }, (_, i) => ({ from: i * bytes, at: i * bytes, to: Math.min(size, (i + 1) * bytes) }));
}

/**
 * Errors: LodestoneError(badModel), one line, when the server does not give it or its bytes are wrong;
 * LodestoneError(outOfMemory) when the disk is full; the signal's reason, and then what has come is kept.
 */
export async function downloadFile(download: Download): Promise<void> {
  const { path, size, hash, segmentBytes, onProgress } = download;
  await mkdir(dirname(path), { recursive: true });
  if (await isThere(path, size, hash)) return onProgress(size);
  const kept = await keptState(download);
  const state: State = kept ?? { size, hash, segments: freshSegments(size, segmentBytes) };
  const file = await open(partOf(path), kept === null ? 'w+' : 'r+');
  try {
    await new Fetcher(download, state, file).run();
    await file.sync();
  } finally {
    await file.close();
  }
  const found = await hashFile(partOf(path), size, hash.kind, download.http.signal);
  if (found !== hash.hex) {
    await rm(partOf(path), { force: true });
    await rm(stateOf(path), { force: true });
    throw new LodestoneError(ExitCode.badModel, `${download.name}: the bytes that came are not the hub's (${hash.kind} ${found}, not ${hash.hex}); they were deleted`);
  }
  await rename(partOf(path), path);
}

/** What `downloadFile` leaves beside a finished file. */
export async function forgetState(path: string): Promise<void> {
  await rm(stateOf(path), { force: true });
}

class Fetcher {
  #saved = 0;
  #saving: Promise<void> = Promise.resolve();

  constructor(
    private readonly download: Download,
    private readonly state: State,
    private readonly file: FileHandle,
  ) {}

  async run(): Promise<void> {
    this.#report();
    try {
      await this.#inSegments().catch(async (error: unknown) => {
        if (!(error instanceof RangesIgnored)) throw error;
        await this.#whole();
      });
    } finally {
      await this.#save();
    }
  }

  /** The first segment alone, which shows whether the server knows ranges; then the others side by side. */
  async #inSegments(): Promise<void> {
    const waiting = this.state.segments.filter(({ at, to }) => at < to);
    const first = waiting.shift();
    if (first === undefined) return;
    const { controller: others, unlink } = linkedController(this.download.http.signal);
    const { signal } = others;
    let started = false;
    const workers: Promise<void>[] = [];
    const work = async (): Promise<void> => {
      for (let segment = waiting.shift(); segment; segment = waiting.shift()) await this.#fetchSegment(segment, signal);
    };
    const guarded = (job: Promise<void>): Promise<void> => {
      const watched = job.catch((error: unknown) => {
        others.abort();
        throw error;
      });
      // Looked at below, when all have ended.
      watched.catch(() => undefined);
      return watched;
    };
    const start = (): void => {
      if (started) return;
      started = true;
      for (let i = 1; i < this.download.connections; i++) workers.push(guarded(work()));
    };
    const lead = guarded(this.#fetchSegment(first, signal, start).then(work));
    const outcomes = await Promise.allSettled([lead, ...(await lead.then(() => workers, () => workers))]);
    unlink();
    if (this.download.http.signal.aborted) throw abortError(this.download.http.signal);
    // One failed first, and the others because of it.
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    const cause = errors.find((error) => error instanceof RangesIgnored || error instanceof LodestoneError) ?? errors[0];
    if (cause !== undefined) throw cause;
  }

  async #fetchSegment(segment: Segment, signal: AbortSignal, onAnswer?: () => void): Promise<void> {
    const { url, name, http, size, explain } = this.download;
    const options = { ...http, signal };
    await withRetries(name, options, async (progressed) => {
      if (segment.at >= segment.to) return;
      const whole = segment.at === 0 && segment.to === size;
      const reply = await get(url, whole ? {} : { range: `bytes=${segment.at}-${segment.to - 1}` }, options).catch((error: unknown) => {
        throw explain(error);
      });
      try {
        if (!whole) checkRange(reply.response, segment.at, size, name);
        onAnswer?.();
        await this.#write(reply, segment, progressed);
      } finally {
        reply.cancel();
      }
    });
  }

  /** From a server without ranges: everything, from the beginning, each time. */
  async #whole(): Promise<void> {
    const { url, name, http, size, explain } = this.download;
    await withRetries(name, http, async () => {
      const segment = { from: 0, at: 0, to: size };
      this.state.segments = [segment];
      const reply = await get(url, {}, http).catch((error: unknown) => {
        throw explain(error);
      });
      try {
        // Starting over is no progress: a server that always breaks off is given up.
        await this.#write(reply, segment, () => undefined);
      } finally {
        reply.cancel();
      }
    });
  }

  async #write(reply: Reply, segment: Segment, progressed: () => void): Promise<void> {
    for await (const chunk of reply.chunks()) {
      const bytes = chunk.subarray(0, segment.to - segment.at);
      await writeAll(this.file, bytes, segment.at, this.download.name);
      segment.at += bytes.length;
      if (bytes.length > 0) progressed();
      this.#report();
      if (performance.now() - this.#saved > saveEvery) await this.#save();
      if (segment.at >= segment.to) return;
    }
    if (segment.at < segment.to) throw new Transient(`the connection ended ${segment.to - segment.at} bytes early`);
  }

  #report(): void {
    this.download.onProgress(doneOf(this.state));
  }

  #save(): Promise<void> {
    this.#saved = performance.now();
    const path = stateOf(this.download.path);
    this.#saving = this.#saving.then(async () => {
      await writeFile(`${path}.new`, JSON.stringify(this.state));
      await rename(`${path}.new`, path);
    });
    return this.#saving;
  }
}

/** Throws RangesIgnored where the whole file comes; LodestoneError where another range or another file does. */
function checkRange(response: Response, at: number, size: number, name: string): void {
  if (response.status !== 206) throw new RangesIgnored();
  const range = response.headers.get('content-range');
  const [, from, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range ?? '') ?? [];
  if (Number(from) !== at || (total !== '*' && Number(total) !== size)) {
    throw new LodestoneError(ExitCode.badModel, `${name}: the server sends ${range ?? 'an unnamed range'}, but bytes from ${at} on of a file of ${size} were asked for`);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number, name: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new LodestoneError(full ? ExitCode.outOfMemory : ExitCode.badModel, `${name}: ${full ? 'the disk is full; what has come is kept' : `can't be written (${message})`}`, { cause });
  }
}

async function hashFile(path: string, size: number, kind: FileHash['kind'], signal: AbortSignal): Promise<string> {
  const hash = createHash(kind === 'git' ? 'sha1' : 'sha256');
  if (kind === 'git') hash.update(`blob ${size}\0`);
  try {
    for await (const chunk of createReadStream(path, { signal })) hash.update(chunk as Buffer);
  } catch (error) {
    throw signal.aborted ? abortError(signal) : error;
  }
  return hash.digest('hex');
}
