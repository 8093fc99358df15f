/** What is written in a film: as long as it is to be seen, kept as it is read, and never called verified. */
import { readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { cite } from '../../../src/answer/citations.js';
import type { Frame } from '../../../src/ingest/media/media.js';
import type { Recording } from '../../../src/ingest/media/open.js';
import { readPictures } from '../../../src/ingest/media/read-pictures.js';
import type { Raster } from '../../../src/ingest/segment.js';
import type { PictureReader } from '../../../src/see/picture-reader.js';
import { scratch } from '../support.js';

const grey = (level: number): Raster => ({ width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(level) });

/** Pictures of one grey each; the reader knows which grey says what. */
function film(levels: readonly number[]): Recording {
  async function* frames(): AsyncGenerator<Frame> {
    for (const [time, level] of levels.entries()) yield { time, image: grey(level) };
  }
  const none = (): never => {
    throw new Error('not asked for');
  };
  return { path: 'film.mp4', seconds: levels.length, audio: false, video: true, decoder: { description: 'a test', probe: none, sound: none, frames } };
}

type Reader = Pick<PictureReader, 'config' | 'read' | 'hash'> & { readonly asked: number[] };

function reader(says: Readonly<Record<number, readonly string[]>>, stopAt?: number): Reader {
  const asked: number[] = [];
  return {
    asked,
    config: { vision: { imageSize: 32 } } as PictureReader['config'],
    hash: async () => 'model',
    async read({ data }) {
      if (data[0] === stopAt) throw new Error('enough');
      asked.push(data[0]!);
      return [...(says[data[0]!] ?? [])];
    },
  };
}

const decoding = { range: { from: 0, to: Infinity }, stallMs: 1000 };
const says = { 100: ['The secret', 'word is "acorn"'], 200: ['Chapter 2'] };
const read = (of: Reader, levels: readonly number[], keep: string | null = null): ReturnType<typeof readPictures> =>
  readPictures({ fps: 1, frames: 'all', reader: of, keep }, film(levels), 'sha', 0, decoding, () => undefined);

it('is one segment for as long as the same is to be seen', async () => {
  const { segments, counts } = await read(reader(says), [0, 100, 100, 0, 200, 100]);
  expect(segments).toEqual([
    { source: 0, text: 'The secret word is "acorn"\n', time: [1, 3], fromPicture: true },
    { source: 0, text: 'Chapter 2\n', time: [4, 5], fromPicture: true },
    { source: 0, text: 'The secret word is "acorn"\n', time: [5, 6], fromPicture: true },
  ]);
  expect(counts).toMatchObject({ shown: 6, repeated: 0 });
});

it('is cited with its time, as read in a picture and not as verified', async () => {
  const { segments } = await read(reader(says), [0, 100]);
  const source = { path: 'film.mp4', kind: 'video', bytes: 1, sha256: '', seconds: 2 } as const;
  expect(cite('What is the secret word?', 'acorn', [{ source, segments, warnings: [] }])).toEqual([{ source: 'film.mp4', time: [1, 2], quote: 'The secret word is "acorn"', verified: false, picture: true }]);
});

it('is kept picture by picture, so that an interrupted run goes on, and then as a whole', async () => {
  const keep = scratch();
  const levels = [0, 100, 50, 200];
  const first = reader(says, 50);
  await expect(read(first, levels, keep)).rejects.toThrow('enough');
  expect(first.asked).toEqual([0, 100]);
  const second = reader(says);
  const { segments } = await read(second, levels, keep);
  expect(second.asked).toEqual([50, 200]);
  const third = reader({});
  expect((await read(third, levels, keep)).segments).toEqual(segments);
  expect(third.asked).toEqual([]);
  // Half of the last line is lost with the power: pictures are there, and the film is put together again.
  const [name] = readdirSync(keep);
  const path = join(keep, name!);
  truncateSync(path, readFileSync(path).length - 5);
  const fourth = reader({});
  expect((await read(fourth, levels, keep)).segments).toEqual(segments);
  expect(fourth.asked).toEqual([]);
});
