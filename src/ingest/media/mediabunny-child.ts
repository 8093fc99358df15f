/**
 * A program: decodes a recording with mediabunny and node-webcodecs. Its only argument is a MediabunnyJob; to stdout goes what it
 * says of the file (JSON), the first sound track (WAV) or pictures (PPM, one after the other); complaints go to stderr.
 */
import { once } from 'node:events';
import type { AudioSample, InputAudioTrack, InputVideoTrack, VideoSample } from 'mediabunny';
import { resize } from '../../encode/image.js';
import type { Raster } from '../segment.js';
import type { MediabunnyJob } from './mediabunny.js';

/** A gap in the sound that is filled with silence, in seconds; smaller ones are rounding. */
const gap = 0.02;

/** Of WebCodecs, though its types of this version do not know it yet. */
const rgbx: object = { format: 'RGBX' };

async function write(bytes: Uint8Array | string): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain');
}

/** 32-bit float, mono, of unknown length. */
function wavHeader(rate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF\xff\xff\xff\xffWAVEfmt ', 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(3, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 4, 28);
  header.writeUInt16LE(4, 32);
  header.writeUInt16LE(32, 34);
  header.write('data\xff\xff\xff\xff', 36, 'latin1');
  return header;
}

/** The mean of the channels. */
function monoOf(sample: AudioSample): Float32Array<ArrayBuffer> {
  const mono = new Float32Array(sample.numberOfFrames);
  const channel = new Float32Array(sample.numberOfFrames);
  for (let c = 0; c < sample.numberOfChannels; c++) {
    sample.copyTo(channel, { planeIndex: c, format: 'f32-planar' });
    for (let i = 0; i < mono.length; i++) mono[i]! += channel[i]! / sample.numberOfChannels;
  }
  return mono;
}

async function writeSound(samples: AsyncIterable<AudioSample>, rate: number, { from, to }: MediabunnyJob): Promise<void> {
  await write(wavHeader(rate));
  const end = to === null ? Infinity : Math.round((to - from) * rate);
  let written = 0;
  for await (const sample of samples) {
    const mono = monoOf(sample);
    let at = Math.round((sample.timestamp - from) * rate);
    sample.close();
    for (let silence = at - written; silence > gap * rate && written < end; silence = at - written) {
      const zeros = new Float32Array(Math.min(silence, rate, end - written));
      await write(new Uint8Array(zeros.buffer));
      written += zeros.length;
    }
    if (Math.abs(at - written) <= gap * rate) at = written;
    const piece = mono.slice(Math.max(0, written - at), Math.max(0, end - at));
    written += piece.length;
    await write(new Uint8Array(piece.buffer));
  }
}

/** As it stands when shown, and no larger than asked for. */
async function rasterOf(sample: VideoSample, mostPixels: number): Promise<Raster> {
  const { codedWidth, codedHeight } = sample;
  const pixels = new Uint8Array(sample.allocationSize(rgbx));
  await sample.copyTo(pixels, rgbx);
  const turned = upright(pixels, codedWidth, codedHeight, sample.rotation);
  const scale = Math.min(1, mostPixels / Math.max(turned.width, turned.height));
  if (scale === 1) return turned;
  return resize(turned, Math.max(1, Math.round(turned.width * scale)), Math.max(1, Math.round(turned.height * scale)));
}

/** Turned clockwise by 0, 90, 180 or 270 degrees; four bytes a pixel become three. */
function upright(pixels: Uint8Array, width: number, height: number, rotation: number): Raster {
  const sideways = rotation % 180 !== 0;
  const out = { width: sideways ? height : width, height: sideways ? width : height, data: new Uint8Array(width * height * 3) };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [toX, toY] = rotation === 90 ? [height - 1 - y, x] : rotation === 180 ? [width - 1 - x, height - 1 - y] : rotation === 270 ? [y, width - 1 - x] : [x, y];
      const to = (toY * out.width + toX) * 3;
      const from = (y * width + x) * 4;
      out.data[to] = pixels[from]!;
      out.data[to + 1] = pixels[from + 1]!;
      out.data[to + 2] = pixels[from + 2]!;
    }
  }
  return out;
}

function* times(from: number, to: number, fps: number): Generator<number> {
  for (let number = 0; from + number / fps < to; number++) yield from + number / fps;
}

async function requireDecoder(track: InputAudioTrack | InputVideoTrack | null, what: string): Promise<void> {
  if (!track) throw new Error(`there are no ${what} in it`);
  if (!(await track.canDecode())) throw new Error(`its ${what} are in a codec (${track.codec ?? 'not known'}) that only ffmpeg may read`);
}

async function run(job: MediabunnyJob): Promise<void> {
  // mediabunny looks for WebCodecs where browsers have it.
  const { ALL_FORMATS, AudioSampleSink, FilePathSource, Input, VideoSampleSink } = await import('mediabunny');
  Object.assign(globalThis, await import('node-webcodecs'));
  const input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(job.path) });
  const [audio, video] = [await input.getPrimaryAudioTrack(), await input.getPrimaryVideoTrack()];
  if (job.task === 'probe') {
    const seconds = await input.computeDuration();
    await write(JSON.stringify({ seconds: Number.isFinite(seconds) && seconds > 0 ? seconds : null, audio: audio !== null, video: video !== null }));
    return;
  }
  if (job.task === 'sound') {
    await requireDecoder(audio, 'sounds');
    await writeSound(new AudioSampleSink(audio!).samples(job.from, job.to ?? Infinity), audio!.sampleRate, job);
    return;
  }
  await requireDecoder(video, 'pictures');
  const sink = new VideoSampleSink(video!);
  const [first, end] = [await video!.getFirstTimestamp(), await video!.computeDuration()];
  // What is asked for before the first picture is shown that.
  const wanted = [...times(job.from, Math.min(job.to ?? Infinity, end), job.fps)].map((time) => Math.max(time, first));
  for await (const sample of sink.samplesAtTimestamps(wanted)) {
    if (!sample) continue;
    const { width, height, data } = await rasterOf(sample, job.mostPixels);
    sample.close();
    await write(`P6\n${width} ${height}\n255\n`);
    await write(data);
  }
}

process.stdout.on('error', () => process.exit(1));
try {
  await run(JSON.parse(process.argv[2]!) as MediabunnyJob);
  // Native decoders have threads that would keep this process.
  process.stdout.write('', () => process.exit(0));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(1));
}
