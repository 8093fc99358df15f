/**
 * What decodes where there is no ffmpeg: mediabunny reads the containers, node-webcodecs the codecs, both from npm. They run in
 * a Node of their own (mediabunny-child.ts), which writes what ffmpeg would: a hostile file can take down no more.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { unreadable } from '../name.js';
import { decodeWith, soundOf } from './decode.js';
import type { DecodeOptions, Frame, FrameOptions, MediaDecoder, MediaInfo } from './media.js';
import { readPpm } from './ppm.js';

/** What the child is asked for. */
export interface MediabunnyJob {
  readonly task: 'probe' | 'sound' | 'frames';
  readonly path: string;
  readonly from: number;
  /** null: to the end. */
  readonly to: number | null;
  /** Of frames. */
  readonly fps: number;
  readonly mostPixels: number;
}

const probeMs = 30_000;
/** MiB of the child's JavaScript heap; pictures lie outside it, one at a time. */
const heapMiB = 512;

/** null: a package is not installed, or has nothing for this machine. */
export function findMediabunny(): MediaDecoder | null {
  const require = createRequire(import.meta.url);
  try {
    for (const name of ['mediabunny', 'node-webcodecs', `@node-webcodecs/static-${process.platform}-${process.arch}`]) require.resolve(name);
  } catch {
    return null;
  }
  return new Mediabunny();
}

class Mediabunny implements MediaDecoder {
  readonly description = 'mediabunny';

  async probe(path: string, signal?: AbortSignal): Promise<MediaInfo> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.#run({ task: 'probe', path }, { signal, stallMs: probeMs })) chunks.push(chunk);
    if (chunks.length === 0) throw unreadable(path, "can't be decoded: the decoder gave no answer");
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as MediaInfo;
  }

  sound(path: string, options: DecodeOptions): AsyncGenerator<Float32Array> {
    return soundOf(path, this.#run({ task: 'sound', path, ...rangeOf(options) }, options));
  }

  async *frames(path: string, options: FrameOptions): AsyncGenerator<Frame> {
    const { fps, mostPixels, range } = options;
    let number = 0;
    for await (const image of readPpm(this.#run({ task: 'frames', path, fps, mostPixels, ...rangeOf(options) }, options))) {
      yield { time: range.from + number++ / fps, image };
    }
  }

  #run(job: Pick<MediabunnyJob, 'task' | 'path'> & Partial<MediabunnyJob>, options: Omit<DecodeOptions, 'range'>): AsyncGenerator<Uint8Array> {
    const whole: MediabunnyJob = { from: 0, to: null, fps: 1, mostPixels: 1, ...job };
    const args = [`--max-old-space-size=${heapMiB}`, '--no-warnings', childFile(), JSON.stringify(whole)];
    return decodeWith({ program: process.execPath, args }, job.path, options);
  }
}

function rangeOf({ range: { from, to } }: DecodeOptions): Pick<MediabunnyJob, 'from' | 'to'> {
  return { from, to: to === Infinity ? null : to };
}

/** From src/ (tests), the built one. */
function childFile(here: string = import.meta.url): string {
  const path = fileURLToPath(new URL(here.endsWith('.ts') ? '../../../dist/ingest/media/mediabunny-child.js' : './mediabunny-child.js', here));
  if (!existsSync(path)) throw new Error(`${path}, which decodes recordings, is missing: run npm run build`);
  return path;
}
