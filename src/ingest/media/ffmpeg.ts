/**
 * ffmpeg as a program of its own: what a hostile file does to it stays there, and it can be killed. Only files of known
 * formats are opened, and nothing that a file points at: without the list of formats, a text named .mp4 that is a playlist
 * makes ffmpeg read other files of this machine.
 */
import { unreadable } from '../name.js';
import { decodeWith, reason, soundOf } from './decode.js';
import type { DecodeOptions, Frame, FrameOptions, MediaDecoder, MediaInfo, TimeRange } from './media.js';
import { readPpm } from './ppm.js';
import { readProgram } from './process.js';

const formats = 'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mp3,ogg,flac,wav,aac,mpegts,mpeg,aiff,asf,flv,caf,amr,ac3,ape,wv,au,w64';
const common = ['-nostdin', '-hide_banner', '-protocol_whitelist', 'file,pipe', '-format_whitelist', formats];
/** More than one is no faster for one picture a second, and would take the machine. */
const threads = ['-threads', '1'];
const probeMs = 30_000;

export class Ffmpeg implements MediaDecoder {
  readonly description = 'ffmpeg';

  constructor(private readonly program: string) {}

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

  sound(path: string, options: DecodeOptions): AsyncGenerator<Float32Array> {
    // Silence where the sound begins later than the file, or has holes, so that the samples' number tells their time.
    const output = ['-vn', '-sn', '-dn', '-map', '0:a:0', '-af', 'aresample=async=1:first_pts=0', '-ac', '1', '-c:a', 'pcm_f32le', '-f', 'wav', 'pipe:1'];
    return soundOf(path, this.#decode(path, output, options));
  }

  async *frames(path: string, options: FrameOptions): AsyncGenerator<Frame> {
    const { fps, mostPixels, range } = options;
    // A frame is what is shown at its time: the last picture that is not later.
    const shown = `fps=fps=${fps}:start_time=0:round=up`;
    const scaled = `scale=w='min(iw,${mostPixels})':h='min(ih,${mostPixels})':force_original_aspect_ratio=decrease:flags=area`;
    const output = ['-an', '-sn', '-dn', '-map', '0:v:0', '-vf', `${shown},${scaled}`, '-pix_fmt', 'rgb24', '-c:v', 'ppm', '-f', 'image2pipe', 'pipe:1'];
    let number = 0;
    for await (const image of readPpm(this.#decode(path, output, options))) yield { time: range.from + number++ / fps, image };
  }

  #decode(path: string, output: readonly string[], options: DecodeOptions): AsyncGenerator<Uint8Array> {
    const { range } = options;
    const args = [...common, '-loglevel', 'error', ...threads, ...seek(range), ...input(path), ...length(range), ...output];
    return decodeWith({ program: this.program, args }, path, options);
  }
}

/** `file:` keeps a name such as `concat:...` or `-i` from being anything else. */
const input = (path: string): string[] => ['-i', `file:${path}`];
const seek = ({ from }: TimeRange): string[] => (from > 0 ? ['-ss', String(from)] : []);
const length = ({ from, to }: TimeRange): string[] => (to === Infinity ? [] : ['-t', String(to - from)]);
