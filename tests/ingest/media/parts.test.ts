/** Pictures that are chosen, speech that becomes segments, work that is kept: without any decoder. */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { shortClock } from '../../../src/clock.js';
import { Journal, journalName } from '../../../src/ingest/media/journal.js';
import { isPlaylist, mediaKind } from '../../../src/ingest/media/kind.js';
import { Pictures, type FrameChoice } from '../../../src/ingest/media/pictures.js';
import { readPpm } from '../../../src/ingest/media/ppm.js';
import { speechSegments } from '../../../src/ingest/media/speech-segments.js';
import { timeOf, type Raster } from '../../../src/ingest/segment.js';
import { clock, formatSegment } from '../../../src/speech/formats.js';
import type { SpeechSegment } from '../../../src/speech/transcribe.js';
import { randomizer } from '../../device/cases.js';
import { scratch } from '../support.js';

function picture(level: number, mark = 0, noise = 0, width = 160, height = 120): Raster {
  const random = randomizer(level + mark + 1);
  const data = new Uint8Array(width * height * 3).map(() => level + Math.round(random() * noise));
  // A line of text somewhere: 40 x 8 pixels.
  if (mark > 0) for (let y = 30; y < 38; y++) data.fill(mark, (y * width + 50) * 3, (y * width + 90) * 3);
  return { width, height, data };
}

function choose(choice: FrameChoice, images: readonly Raster[]): { times: (readonly [number, number])[]; counts: object } {
  const pictures = new Pictures(choice, 1, (image) => image);
  images.forEach((image, time) => pictures.add({ time, image }));
  const { frames, counts } = pictures.finish();
  return { times: frames.map((frame) => frame.time), counts };
}

describe('pictures', () => {
  const film = [picture(50), picture(50, 0, 3), picture(50, 200), picture(50), picture(200), picture(201), picture(202)];
  it('that show nothing new are left out, and the time of the one before goes on', () => {
    expect(choose('changed', film)).toEqual({
      times: [[0, 2], [2, 3], [3, 4], [4, 7]],
      counts: { shown: 4, repeated: 3, skipped: 0, scenes: 2 },
    });
  });
  it('are all shown, or one of each scene', () => {
    expect(choose('all', film).counts).toEqual({ shown: 7, repeated: 0, skipped: 0, scenes: 2 });
    expect(choose('scenes', film)).toEqual({ times: [[0, 4], [4, 7]], counts: { shown: 2, repeated: 0, skipped: 5, scenes: 2 } });
    expect(choose('changed', [])).toEqual({ times: [], counts: { shown: 0, repeated: 0, skipped: 0, scenes: 0 } });
  });
  it('change slowly: what differs from the one that is shown is shown, however little from the one before', () => {
    const fade = Array.from({ length: 20 }, (_, i) => picture(100 + 2 * i));
    expect(choose('changed', fade).times.length).toBe(5);
  });
  it('of another colour that is as bright are others', () => {
    const plain = (...colour: number[]): Raster => ({ width: 8, height: 8, data: Uint8Array.from({ length: 192 }, (_, i) => colour[i % 3]!) });
    expect(choose('changed', [plain(255, 0, 0), plain(0, 130, 0)]).counts).toMatchObject({ shown: 2, scenes: 2 });
  });
  it('may be of one pixel', () => {
    const dot = (level: number): Raster => ({ width: 1, height: 1, data: Uint8Array.of(level, level, level) });
    expect(choose('changed', [dot(0), dot(0), dot(255)]).times).toEqual([[0, 2], [2, 3]]);
  });
});

describe('PPM', () => {
  it('pictures of several sizes come whole out of pieces of any size; what is cut short does not', async () => {
    const images = [picture(1, 0, 0, 3, 2), picture(2, 0, 0, 1, 1), picture(3, 0, 0, 200, 100)];
    const bytes = Buffer.concat(images.flatMap(({ width, height, data }) => [Buffer.from(`P6\n${width} ${height}\n255\n`), data]));
    for (const size of [1, 13, 5000, bytes.length]) {
      const got: Raster[] = [];
      const stream = async function* (): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length - 1; at += size) yield bytes.subarray(at, Math.min(bytes.length - 1, at + size));
      };
      for await (const image of readPpm(stream())) got.push(image);
      expect(got).toEqual(images.slice(0, 2));
    }
  });
  it('are nothing else', async () => {
    const stream = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.from('this is no picture, whatever it may be called');
    };
    await expect(readPpm(stream()).next()).rejects.toThrow(/no PPM/);
  });
});

const piece = (text: string, from: number, to: number): SpeechSegment => {
  const words = text.split(' ').map((word, i, all) => ({ text: ` ${word}`, from: from + ((to - from) * i) / all.length, to: from + ((to - from) * (i + 1)) / all.length, probability: 1 }));
  return { text, from, to, words, probability: 1 };
};

describe('speech', () => {
  it('becomes sentences, each with the time of its words', () => {
    const segments = speechSegments(3, [piece('The access code', 0, 3), piece('is seven. Thank you.', 3, 7), piece('Good night', 7, 8), piece('All', 20, 21)]);
    expect(segments.map(({ text, time, source }) => [source, text, time])).toEqual([
      [3, 'The access code is seven. Thank you.\n', [0, 7]],
      [3, 'Good night\n', [7, 8]],
      [3, 'All\n', [20, 21]],
    ]);
    const [first] = segments;
    const at = first!.text.indexOf('is seven');
    expect(timeOf(first!, at, at + 8)).toEqual([3, 5]);
    expect(timeOf(first!, at + 4, at + 5)).toEqual([4, 5]);
    expect(timeOf(first!, 0, first!.text.length)).toEqual([0, 7]);
    expect(timeOf({ time: [1, 2] }, 0, 5)).toEqual([1, 2]);
    expect(timeOf({}, 0, 5)).toBeUndefined();
    for (const segment of segments) for (const word of segment.words!) expect(segment.text.slice(word.at)).toMatch(/^\S/);
  });
  it('ends a segment that would grow without a full stop', () => {
    const segments = speechSegments(0, Array.from({ length: 60 }, (_, i) => piece('and then and then', i, i + 1)));
    expect(Math.max(...segments.map(({ text }) => text.length))).toBeLessThan(420);
    expect(segments.length).toBeGreaterThan(2);
  });
  it('is written as files for players', () => {
    expect(clock(3723.4567, ',')).toBe('01:02:03,457');
    expect(clock(59.9996, '.')).toBe('00:01:00.000');
    expect([75.9, 3675, 0, -1].map(shortClock)).toEqual(['01:15', '1:01:15', '00:00', '00:00']);
    const segment = piece('a < b --> c\nd', 1, 2);
    expect(formatSegment(segment, 7, 'srt')).toBe('7\n00:00:01,000 --> 00:00:02,000\na < b -> c d\n\n');
    expect(formatSegment(segment, 7, 'vtt')).toBe('00:00:01.000 --> 00:00:02.000\na &lt; b -> c d\n\n');
    expect(formatSegment(segment, 7, 'txt')).toBe('a < b -> c d\n');
  });
});

describe('what is kept', () => {
  it('is there again, up to what an interruption left half written', async () => {
    const dir = path.join(scratch(), 'deep');
    const name = journalName('a', 1, null);
    const first = await Journal.open(dir, name);
    await first.append({ n: 1 });
    await first.append({ n: 2 });
    const file = path.join(dir, readdirSync(dir)[0]!);
    appendFileSync(file, '{"n": 3');
    const second = await Journal.open(dir, name);
    expect(second.entries).toEqual([{ n: 1 }, { n: 2 }]);
    await second.append({ n: 4 });
    expect((await Journal.open(dir, name)).entries).toEqual([{ n: 1 }, { n: 2 }, { n: 4 }]);
    expect(readFileSync(file, 'utf8').split('\n')).toHaveLength(4);
  });
  it('is for the same inputs alone', () => {
    expect(new Set([journalName('a', 1), journalName('a', 2), journalName('a1'), journalName('a', '1')]).size).toBe(4);
  });
  it('may be nothing, where there is no place for it', async () => {
    const file = path.join(scratch(), 'file');
    writeFileSync(file, '');
    for (const dir of [null, file]) {
      const journal = await Journal.open(dir, 'x');
      await journal.append(1);
      expect((await Journal.open(dir, 'x')).entries).toEqual([]);
    }
  });
});

describe('kinds', () => {
  it('a playlist is none, nor is a text that speaks of one', async () => {
    for (const text of ['#EXTM3U\n#EXTINF:1,\n/etc/passwd\n', '\ufeff#EXTM3U', 'ffconcat version 1.0\nfile x\n', '[playlist]\nFile1=a', '<ASX version="3">']) expect(isPlaylist(Buffer.from(text)), text).toBe(true);
    expect(isPlaylist(Buffer.from('Write #EXTM3U in the first line.'))).toBe(false);
    expect(await mediaKind(Buffer.from('just some text'))).toBeNull();
    expect(await mediaKind(new Uint8Array(0))).toBeNull();
  });
});
