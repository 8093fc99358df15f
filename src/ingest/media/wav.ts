/**
 * WAV, read as it streams: PCM of 8 to 32 bits, floats of 32 and 64, any number of channels, which are averaged. A length of 0
 * or 0xffffffff in the header stands for "to the end", as programs write it into pipes.
 * Source: Microsoft's RIFF and WAVEFORMATEXTENSIBLE.
 */

export interface Sound {
  /** Per second. */
  readonly sampleRate: number;
  /** As the header says; null: it does not. */
  readonly seconds: number | null;
  /** Mono, -1..1. */
  readonly samples: AsyncGenerator<Float32Array>;
}

/** What is wrong with a WAV file; follows the source's name. */
export class WavError extends Error {
  override readonly name = 'WavError';
}

/** How samples are written; `extensible`: it says so further on. */
const encodings = { pcm: 1, float: 3, extensible: 0xfffe };

interface Format {
  readonly float: boolean;
  readonly channels: number;
  readonly sampleRate: number;
  /** Of a sample of one channel. */
  readonly bytes: number;
}

/** Samples per second that are taken for sound. */
const rates = { least: 1000, most: 768_000 };
const mostChannels = 64;
/** A header chunk that is not sound is skipped; one that claims to be the format is small. */
const mostFormatBytes = 4096;

export function isWav(head: Uint8Array): boolean {
  const text = Buffer.from(head.subarray(0, 12)).toString('latin1');
  return /^(RIFF|RF64|BW64)/.test(text) && text.slice(8) === 'WAVE';
}

/** Throws WavError; so do `samples`, where the file ends inside a sample of sound. */
export async function readWav(chunks: AsyncIterable<Uint8Array>): Promise<Sound> {
  const bytes = new ByteStream(chunks);
  const head = await bytes.take(12);
  if (head.length < 12 || !isWav(head)) throw new WavError('is no WAV file');
  let format: Format | null = null;
  for (;;) {
    const header = await bytes.take(8);
    if (header.length < 8) throw new WavError(format ? 'is a WAV file without sound' : 'is a WAV file that is cut short');
    const name = header.toString('latin1', 0, 4);
    const size = header.readUInt32LE(4);
    if (name === 'data') {
      if (!format) throw new WavError('is a WAV file whose sound comes before its format');
      const { sampleRate, channels, bytes: width } = format;
      const known = size !== 0 && size !== 0xffffffff;
      return { sampleRate, seconds: known ? size / (sampleRate * channels * width) : null, samples: samplesOf(bytes, format, known ? size : Infinity) };
    }
    if (name === 'fmt ') {
      if (size > mostFormatBytes) throw new WavError('is a damaged WAV file: its format is too long');
      format = parseFormat(await bytes.take(size + (size % 2)));
    } else {
      await bytes.skip(size + (size % 2));
    }
  }
}

function parseFormat(data: Buffer): Format {
  if (data.length < 16) throw new WavError('is a damaged WAV file: its format is too short');
  const declared = data.readUInt16LE(0);
  const encoding = declared === encodings.extensible && data.length >= 26 ? data.readUInt16LE(24) : declared;
  const channels = data.readUInt16LE(2);
  const sampleRate = data.readUInt32LE(4);
  const bits = data.readUInt16LE(14);
  const known = encoding === encodings.pcm ? [8, 16, 24, 32].includes(bits) : encoding === encodings.float && [32, 64].includes(bits);
  if (!known) throw new WavError(`is a WAV file in an encoding (${encoding}, ${bits} bits) that only ffmpeg may read`);
  if (channels < 1 || channels > mostChannels) throw new WavError(`is a damaged WAV file: ${channels} channels`);
  if (sampleRate < rates.least || sampleRate > rates.most) throw new WavError(`is a damaged WAV file: ${sampleRate} samples per second`);
  return { float: encoding === encodings.float, channels, sampleRate, bytes: bits / 8 };
}

/** The channels' mean. A file that ends too early just ends: its length is the caller's to compare. */
async function* samplesOf(bytes: ByteStream, { float, channels, bytes: width }: Format, size: number): AsyncGenerator<Float32Array> {
  const frame = channels * width;
  for (let left = size; left >= frame; ) {
    const data = await bytes.upTo(Math.min(left, 1 << 18), frame);
    const count = Math.floor(data.length / frame);
    if (count === 0) return;
    left -= count * frame;
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const read = reader(view, float, width);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += read(i * frame + c * width);
      out[i] = sum / channels;
    }
    yield out;
  }
}

function reader(view: DataView, float: boolean, width: number): (at: number) => number {
  if (float) {
    // A float may hold anything; what is no number would spread over everything that hears it.
    const finite = (value: number): number => (Number.isFinite(value) ? value : 0);
    return width === 4 ? (at) => finite(view.getFloat32(at, true)) : (at) => finite(view.getFloat64(at, true));
  }
  switch (width) {
    case 1:
      return (at) => (view.getUint8(at) - 128) / 128;
    case 2:
      return (at) => view.getInt16(at, true) / 32768;
    case 3:
      return (at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 65536) / 8388608;
    default:
      return (at) => view.getInt32(at, true) / 2147483648;
  }
}

/** Bytes of a stream in the pieces that are asked for. */
class ByteStream {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** False at the end. */
  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done) return false;
    const chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length);
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    return true;
  }

  /** `count` bytes, fewer at the end. */
  async take(count: number): Promise<Buffer> {
    while (this.#rest.length < count && (await this.#more()));
    const taken = this.#rest.subarray(0, count);
    this.#rest = this.#rest.subarray(count);
    return taken;
  }

  /** What is there, at most `most` bytes: whole frames of `frame` bytes, none only at the end. */
  async upTo(most: number, frame: number): Promise<Buffer> {
    while (this.#rest.length < frame && (await this.#more()));
    return this.take(Math.floor(Math.min(most, this.#rest.length) / frame) * frame);
  }

  async skip(count: number): Promise<void> {
    let left = count;
    while (left > this.#rest.length) {
      left -= this.#rest.length;
      this.#rest = Buffer.alloc(0);
      if (!(await this.#more())) return;
    }
    this.#rest = this.#rest.subarray(left);
  }
}
