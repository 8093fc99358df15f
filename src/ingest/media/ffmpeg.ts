/**
 * ffmpeg as a program of its own: what a hostile file does to it stays there, and it can be killed. Only files of known
 * formats are opened, and nothing that a file points at: without the list of formats, a text named .mp4 that is a playlist
 * makes ffmpeg read other files of this machine.
 */
import { unreadable } from '../name.js';
import type { Raster } from '../segment.js';
import { sampleRate } from '../../encode/log-mel.js';
import type { DecodeOptions, Frame, FrameOptions, MediaDecoder, MediaInfo, TimeRange } from './media.js';
import { readPpm } from './ppm.js';
import { readProgram, type ProgramEnd } from './process.js';
import { resample } from './resample.js';
import { readWav } from './wav.js';

const formats = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mp3,ogg,flac,wav,aac,mpegts,mpeg,aiff,asf,flv,caf,amr,ac3,ape,wv,au,w64';
const common = ['-nostdin', '-hide_banner', '-protocol_whitelist', 'file,pipe', '-format_whitelist', formats];
/** More than one is no faster for one picture a second, and would take the machine. */
const threads = ['-threads', '1'];
const probeMs = 30_000;

export class Ffmpeg implements MediaDecoder {
  constructor(
    private readonly program: string,
    readonly description = 'ffmpeg',
  ) {}

  async probe(path: string, signal?: AbortSignal): Promise<MediaInfo> {
    // Without an output ffmpeg describes the input, complains, and ends.
    const reader = readProgram(this.program, [...common, ...input(path)], { signal, stallMs: probeMs });
    let step = await reader.next();
    while (!step.done) step = await reader.next();
    const { stderr, stalled } = step.value;
    if (stalled) throw unreadable(path, `could not be opened within ${probeMs / 1000} s`);
    if (!/^Input #0,/m.test(stderr)) throw unreadable(path, `can't be decoded: ${reason(stderr, path)}`);
    const [, hours, minutes, seconds] = /Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)/.exec(stderr) ?? [];
    const streams = [...stderr.matchAll(/^ *Stream #0:\d+.*$/gm)].map(([line]) => line);
    return {
      seconds: seconds === undefined ? null : Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds),
      audio: streams.some((line) => /: Audio: (?!none)/.test(line)),
      video: streams.some((line) => /: Video: (?!none)/.test(line) && !line.includes('(attached pic)')),
    };
  }

  async *sound(path: string, options: DecodeOptions): AsyncGenerator<Float32Array> {
    // Silence where the sound begins later than the file, or has holes, so that the samples' number tells their time.
    const decode = ['-map', '0:a:0', '-af', 'aresample=async=1:first_pts=0', '-ac', '1', '-c:a', 'pcm_f32le', '-f', 'wav', 'pipe:1'];
    const bytes = this.#decode(path, ['-vn', '-sn', '-dn'], decode, options);
    const wav = await readWav(bytes).catch((cause: unknown) => {
      // ffmpeg's own complaint came first where there was one; this is a sound track of nothing.
      throw cause instanceof Error && cause.name === 'WavError' ? unreadable(path, 'has a sound track without sound', { cause }) : cause;
    });
    yield* resample(wav.samples, wav.sampleRate, sampleRate);
  }

  async *frames(path: string, options: FrameOptions): AsyncGenerator<Frame> {
    const { fps, mostPixels, range } = options;
    const most = Math.max(1, Math.floor(mostPixels));
    // A frame is what is shown at its time: the last picture that is not later.
    const filters = `fps=fps=${fps}:start_time=0:round=up,scale=w='min(iw,${most})':h='min(ih,${most})':force_original_aspect_ratio=decrease:flags=area`;
    const decode = ['-map', '0:v:0', '-vf', filters, '-pix_fmt', 'rgb24', '-c:v', 'ppm', '-f', 'image2pipe', 'pipe:1'];
    let number = 0;
    for await (const image of readPpm(this.#decode(path, ['-an', '-sn', '-dn'], decode, options))) {
      yield { time: range.from + number / fps, image: image satisfies Raster };
      number++;
    }
  }

  async *#decode(path: string, ignored: readonly string[], output: readonly string[], { range, signal, stallMs, onDamage }: DecodeOptions): AsyncGenerator<Uint8Array> {
    const args = [...common, '-loglevel', 'error', ...threads, ...seek(range), ...input(path), ...ignored, ...length(range), ...output];
    const reader = readProgram(this.program, args, { signal, stallMs });
    let some = false;
    let step = await reader.next();
    try {
      for (; !step.done; step = await reader.next()) {
        some = true;
        yield step.value;
      }
    } finally {
      if (!step.done) await reader.return({ code: 0, stderr: '', stalled: false });
    }
    judge(path, step.value, some, stallMs, onDamage);
  }
}

/** What a run's end says of the file. */
function judge(path: string, { code, stderr, stalled }: ProgramEnd, some: boolean, stallMs: number, onDamage: ((what: string) => void) | undefined): void {
  if (stalled) throw unreadable(path, `gave nothing more to decode for ${stallMs / 1000} s and was given up`);
  if (code !== 0 && !some) throw unreadable(path, `can't be decoded: ${reason(stderr, path)}`);
  if (code !== 0 || stderr !== '') onDamage?.(`parts of it are damaged and could not be decoded (${reason(stderr, path)})`);
}

/** `file:` keeps a name such as `concat:...` or `-i` from being anything else. */
const input = (path: string): string[] => ['-i', `file:${path}`];
const seek = ({ from }: TimeRange): string[] => (from > 0 ? ['-ss', String(from)] : []);
const length = ({ from, to }: TimeRange): string[] => (to === Infinity ? [] : ['-t', String(to - from)]);

/** The line of ffmpeg's that says what is wrong, on one line and without the path. */
function reason(stderr: string, path: string): string {
  const lines = stderr.split('\n').map((line) => line.replace(/^\[[^\]]*\] */, '').replaceAll(`file:${path}: `, '').trim());
  const told = lines.find((line) => /moov atom|invalid data|not on whitelist|does not contain|unknown|invalid argument|error/i.test(line)) ?? lines.findLast((line) => line !== '');
  const line = (told ?? 'ffmpeg does not say why').replaceAll(/[\p{Cc}\s]+/gu, ' ');
  return line.length > 160 ? `${line.slice(0, 160)}...` : line;
}
