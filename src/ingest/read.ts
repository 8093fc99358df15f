import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { abortError } from '../errors.js';
import { formatBytes } from './limits.js';
import { unreadable } from './name.js';

/** One source's bytes, read once: what is hashed is what is parsed. */
export interface InputBytes {
  readonly path: string;
  /** Backed by an ArrayBuffer of its own, so that it can be handed to a worker without a copy. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Hex. */
  readonly sha256: string;
}

export interface ReadOptions {
  /** Bytes. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
}

const chunkBytes = 4 * 1024 * 1024;

/** Reads a regular file. @throws LodestoneError (unreadableInput) that names the file and says what to do. */
export async function readFileOnce(path: string, options: ReadOptions): Promise<InputBytes> {
  try {
    // Looked at before it is opened: opening a FIFO would wait for a writer, opening a device may do things.
    refuseSpecial(path, await stat(path));
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      const stats = await file.stat();
      refuseSpecial(path, stats);
      refuseLarge(path, stats.size, options.limit);
      const collector = new Collector(path, options, stats.size);
      // Read to the end and not to the size: a file may grow, and those in /proc say 0.
      while (true) {
        const { bytesRead } = await file.read(collector.room(), 0);
        if (bytesRead === 0) {
          return collector.finish();
        }
        collector.took(bytesRead);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainSystemError(path, error);
  }
}

/** The first `count` bytes of a regular file, fewer where it is shorter. Errors: as `readFileOnce`. */
export async function readHead(path: string, count: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    refuseSpecial(path, await stat(path));
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      refuseSpecial(path, await file.stat());
      const bytes = new Uint8Array(count);
      let length = 0;
      for (;;) {
        const { bytesRead } = await file.read(bytes, length, count - length);
        if (bytesRead === 0) return bytes.subarray(0, length);
        length += bytesRead;
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw explainSystemError(path, error);
  }
}

/** Reads a stream (standard input) to its end. */
export async function readStreamOnce(path: string, stream: Readable, options: ReadOptions): Promise<InputBytes> {
  const { signal } = options;
  if (signal?.aborted) {
    throw abortError(signal);
  }
  const collector = new Collector(path, options, 0);
  // A read that waits for a terminal must end at once when the user interrupts.
  const stop = () => stream.destroy(abortError(signal!));
  signal?.addEventListener('abort', stop, { once: true });
  try {
    for await (const chunk of stream) {
      collector.add(typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array));
    }
    return collector.finish();
  } catch (error) {
    throw signal?.aborted ? abortError(signal) : explainSystemError(path, error);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

class Collector {
  #buffer: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #hash = createHash('sha256');

  constructor(
    private readonly path: string,
    private readonly options: ReadOptions,
    private readonly expected: number,
  ) {
    // One byte more than expected, so that the read that finds the end needs no larger buffer.
    this.#buffer = new Uint8Array(expected > 0 ? expected + 1 : 64 * 1024);
  }

  /** Where the next bytes may be written. */
  room(): Uint8Array<ArrayBuffer> {
    if (this.#length === this.#buffer.length) {
      this.#grow(this.#length + 1);
    }
    return this.#buffer.subarray(this.#length, this.#length + chunkBytes);
  }

  add(chunk: Uint8Array): void {
    if (this.#length + chunk.length > this.#buffer.length) {
      this.#grow(this.#length + chunk.length);
    }
    this.#buffer.set(chunk, this.#length);
    this.took(chunk.length);
  }

  took(count: number): void {
    this.#hash.update(this.#buffer.subarray(this.#length, this.#length + count));
    this.#length += count;
    refuseLarge(this.path, this.#length, this.options.limit);
    this.options.onBytes?.(this.#length, Math.max(this.expected, this.#length));
    if (this.options.signal?.aborted) {
      throw abortError(this.options.signal);
    }
  }

  finish(): InputBytes {
    return { path: this.path, bytes: this.#buffer.subarray(0, this.#length), sha256: this.#hash.digest('hex') };
  }

  #grow(least: number): void {
    const larger = new Uint8Array(Math.max(least, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}

function refuseSpecial(path: string, stats: Stats): void {
  if (stats.isDirectory()) {
    throw unreadable(path, 'is a directory; name the files in it');
  }
  if (stats.isFIFO()) {
    throw unreadable(path, 'is a pipe; feed it to standard input and name that with "-"');
  }
  if (!stats.isFile()) {
    throw unreadable(path, 'is a device or socket, not a file');
  }
}

function refuseLarge(path: string, bytes: number, limit: number): void {
  if (bytes > limit) {
    throw unreadable(path, `is larger than ${formatBytes(limit)}, the most that is read from one source; split it`);
  }
}

const systemErrors: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; check the name',
  ENOTDIR: 'does not exist; check the name',
  EACCES: 'may not be read (permission denied); check its permissions',
  EPERM: 'may not be read (permission denied); check its permissions',
  EISDIR: 'is a directory; name the files in it',
  ELOOP: 'is a symbolic link that leads to itself',
  ENAMETOOLONG: 'does not exist (the name is too long)',
  ENXIO: 'is a device or socket, not a file',
  EMFILE: 'could not be opened (too many open files)',
  ENFILE: 'could not be opened (too many open files)',
  EIO: 'could not be read (input/output error); the disk may be failing',
  ERR_INVALID_ARG_VALUE: 'does not exist; check the name',
};

/** Makes a failed system call one line for a person; anything else passes unchanged. */
function explainSystemError(path: string, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code === undefined || !(code in systemErrors || 'syscall' in (error as Error))) {
    return error;
  }
  return unreadable(path, systemErrors[code] ?? `could not be read (${code})`, { cause: error });
}
