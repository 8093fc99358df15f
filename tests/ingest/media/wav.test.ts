import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { isWav, readWav, type Sound } from '../../../src/ingest/media/wav.js';
import { join } from '../../speech/golden.js';
import { wavBytes } from './support.js';

/** In pieces of a few bytes, as a pipe may give them. */
async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const open = (bytes: Uint8Array, size = 7): Promise<Sound> => readWav(pieces(bytes, size));
const read = async (bytes: Uint8Array, size = 7): Promise<number[]> => [...(await join((await open(bytes, size)).samples))];

function samples(bits: number, float: boolean, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc((values.length * bits) / 8);
  values.forEach((value, i) => {
    const at = (i * bits) / 8;
    if (float) void (bits === 32 ? bytes.writeFloatLE(value, at) : bytes.writeDoubleLE(value, at));
    else if (bits === 8) bytes.writeUInt8(Math.round(value * 128) + 128, at);
    else bytes.writeIntLE(Math.round(value * 2 ** (bits - 1)), at, bits / 8);
  });
  return bytes;
}

describe('WAV', () => {
  const values = [0, 0.5, -0.5, -1, 0.25, 0.75];
  it.each([[8, false], [16, false], [24, false], [32, false], [32, true], [64, true]] as const)('of %i bits, floats: %s', async (bits, float) => {
    for (const extensible of [false, true]) {
      const bytes = wavBytes(samples(bits, float, values), { bits, encoding: float ? 3 : 1, extensible });
      for (const size of [1, 7, 1000]) expect(await read(bytes, size)).toEqual(values);
    }
  });
  it('averages channels', async () => {
    expect(await read(wavBytes(samples(16, false, values), { channels: 2 }))).toEqual([0.25, -0.75, 0.5]);
    expect(await read(wavBytes(samples(16, false, values), { channels: 6 }))).toEqual([0]);
  });
  it('says how long it is, where the header does', async () => {
    expect(await open(wavBytes(samples(16, false, values), { rate: 6000 }))).toMatchObject({ sampleRate: 6000, seconds: 0.001 });
    for (const size of [0, 0xffffffff]) {
      const streamed = wavBytes(samples(16, false, values), { size });
      expect((await open(streamed)).seconds).toBeNull();
      expect(await read(streamed)).toEqual(values);
    }
  });
  it('ends where the file does, inside a sample too, and where the sound does', async () => {
    const bytes = wavBytes(samples(16, false, values));
    expect(await read(bytes.subarray(0, bytes.length - 3))).toEqual(values.slice(0, 4));
    expect(await read(Buffer.concat([bytes, Buffer.from('LIST and more')]))).toEqual(values);
    expect(await read(wavBytes(Buffer.alloc(0), { size: 4 }))).toEqual([]);
  });
  it('takes what is no number for silence', async () => {
    expect(await read(wavBytes(samples(32, true, [Number.NaN, Infinity, 1]), { bits: 32, encoding: 3 }))).toEqual([0, 0, 1]);
  });
  it('refuses what it can not read, and what is damaged', async () => {
    const some = samples(16, false, values);
    const format = wavBytes(some).subarray(12, 36);
    await expect(open(Buffer.from('RIFF\0\0\0\0AVI '))).rejects.toThrow(/no WAV/);
    await expect(open(wavBytes(some, { encoding: 2, bits: 4 }))).rejects.toThrow(/only ffmpeg/);
    await expect(open(wavBytes(some, { channels: 0 }))).rejects.toThrow(/0 channels/);
    await expect(open(wavBytes(some, { rate: 0 }))).rejects.toThrow(/0 samples per second/);
    await expect(open(wavBytes(some).subarray(0, 30))).rejects.toThrow(/too short/);
    await expect(open(Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), format]))).rejects.toThrow(/without sound/);
    await expect(open(Buffer.from('RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd', 'latin1'))).rejects.toThrow(/before its format/);
    await expect(open(Buffer.from('RIFF\0\0\0\0WAVEfmt \xff\xff\xff\x7f', 'latin1'))).rejects.toThrow(/too long/);
    // A chunk that claims gigabytes is not waited for in memory.
    await expect(open(Buffer.from('RIFF\0\0\0\0WAVEjunk\xff\xff\xff\x7fabc', 'latin1'))).rejects.toThrow(/cut short/);
  });
  it('is told by its first bytes', () => {
    expect([isWav(wavBytes(Buffer.alloc(2))), isWav(Buffer.from('RIFF')), isWav(Buffer.from('RIFF\0\0\0\0WEBPVP8 '))]).toEqual([true, false, false]);
  });
  it('is read from a stream that ends early', async () => {
    await expect(readWav(Readable.from([]))).rejects.toThrow(/no WAV/);
  });
});
