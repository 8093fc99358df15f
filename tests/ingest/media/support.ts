/** Recordings made with ffmpeg, where there is one; without it the tests that need it say so in one line and are skipped. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe } from 'vitest';
import { findFfmpeg } from '../../../src/ingest/media/find-ffmpeg.js';

export const ffmpeg = await findFfmpeg();
if (ffmpeg === null) process.stderr.write('SKIPPED: no ffmpeg here (apt-get install ffmpeg, or FFMPEG_BIN): nothing but WAV was decoded in these tests\n');

export const describeWithFfmpeg = describe.skipIf(ffmpeg === null);

/** Runs ffmpeg and returns the path of what it wrote. */
export function make(dir: string, name: string, ...args: string[]): string {
  const file = path.join(dir, name);
  const { status, stderr } = spawnSync(ffmpeg!, ['-nostdin', '-v', 'error', '-y', ...args, file], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return file;
}

/** Sources of ffmpeg's own: moving pictures of colour bars, and a tone. */
export const bars = (seconds: number, size = '64x48', rate = 10): string[] => ['-f', 'lavfi', '-i', `testsrc=duration=${seconds}:size=${size}:rate=${rate}`];
export const tone = (seconds: number, hertz = 440): string[] => ['-f', 'lavfi', '-i', `sine=frequency=${hertz}:duration=${seconds}:sample_rate=44100`];
/** One colour after the other, a second each. */
export function colours(names: readonly string[], size = '64x48', rate = 10): string[] {
  const inputs = names.flatMap((name) => ['-f', 'lavfi', '-i', `color=${name}:duration=1:size=${size}:rate=${rate}`]);
  const streams = names.map((_, i) => `[${i}:v]`).join('');
  return [...inputs, '-filter_complex', `${streams}concat=n=${names.length}:v=1:a=0`];
}

/** A WAV file's bytes: header as given, samples as they are. */
export function wavBytes(samples: Uint8Array, { encoding = 1, channels = 1, rate = 16_000, bits = 16, size = samples.length, extensible = false } = {}): Buffer {
  const format = Buffer.alloc(extensible ? 40 : 16);
  format.writeUInt16LE(extensible ? 0xfffe : encoding, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt32LE((rate * channels * bits) / 8, 8);
  format.writeUInt16LE((channels * bits) / 8, 12);
  format.writeUInt16LE(bits, 14);
  if (extensible) format.writeUInt16LE(encoding, 24);
  const chunk = (name: string, length: number): Buffer => {
    const head = Buffer.alloc(8);
    head.write(name, 'latin1');
    head.writeUInt32LE(length, 4);
    return head;
  };
  // A chunk of odd length that is no sound stands in between, as programs write them.
  const list = Buffer.concat([chunk('LIST', 5), Buffer.from('INFOx\0')]);
  return Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), chunk('fmt ', format.length), format, list, chunk('data', size), samples]);
}
