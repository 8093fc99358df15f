/** The video needle: where it lies, what the films look like, and that a film goes through the product. */
import { expect, it } from 'vitest';
import { resize } from '../../src/encode/image.js';
import type { Raster } from '../../src/ingest/segment.js';
import { Film, readingOnce, secretWords, watch, type FilmPicture } from '../../src/recall/film.js';
import { wrapOverlay } from '../../src/recall/overlay.js';
import { inquiryOf } from '../../src/recall/request.js';
import { summarise } from '../../src/recall/summary.js';
import { runTrials } from '../../src/recall/trials.js';
import type { Trial } from '../../src/recall/trial.js';
import type { TrialRecord } from '../../src/recall/record.js';
import { plainPicture, videoSuite } from '../../src/recall/video.js';
import type { PictureReader } from '../../src/see/picture-reader.js';
import { knowsAll, planned, standIn, wordRequest } from './stand-in.js';

const suite = videoSuite(secretWords());

async function trials(seconds: number, seed = 1): Promise<Trial[]> {
  const made: Trial[] = [];
  for await (const trial of suite.make({ ...wordRequest(0, 10, seed), stream: seconds })) made.push(trial);
  return made;
}

it('has one needle in each tenth of the film, at a second of its own choosing', async () => {
  const made = await trials(600);
  expect(made).toHaveLength(10);
  for (const [part, { pieces, needles, questions }] of made.entries()) {
    const second = pieces.indexOf(needles![0]!);
    expect(pieces).toHaveLength(600);
    expect(pieces.filter((piece) => piece !== plainPicture)).toEqual(needles);
    expect(Math.floor(second / 60)).toBe(part);
    expect(questions).toEqual([{ question: 'What is the secret word?', expected: [needles![0]!.split('"')[1]], scoring: 'contains', guesses: secretWords(), depthPercent: 10 * part + 5 }]);
  }
  expect(new Set(made.map(({ pieces, needles }) => pieces.indexOf(needles![0]!))).size).toBeGreaterThan(3);
  expect(await trials(600)).toEqual(made);
  expect(await trials(600, 2)).not.toEqual(made);
});

it('breaks an overlay into lines that are wide enough to read', () => {
  expect(wrapOverlay('The secret word is "squirrel"')).toEqual(['The secret word is', '"squirrel"']);
  expect(wrapOverlay('short')).toEqual(['short']);
});

/** How much of a picture is nearly black or white, and how much is of one grey: a box of letters has much of both. */
const boxed = ({ data }: Raster): number => data.filter((value) => value < 16 || value > 239).length / data.length;

it('draws the same second alike, and lays the needle over it', async () => {
  const film = await Film.open(1);
  const plain = await film.picture({ second: 7 });
  expect([plain.width, plain.height]).toEqual([384, 216]);
  expect(await film.picture({ second: 7 })).toBe(plain);
  expect(await film.picture({ second: 157 })).toBe(plain);
  const other = await (await Film.open(1)).picture({ second: 7 });
  expect(other).toEqual(plain);
  const over = await film.picture({ second: 7, text: 'The secret word is "acorn"' });
  expect(boxed(over)).toBeGreaterThan(boxed(plain) + 0.15);
  // Outside of the box it is the same picture: the film's corner, far from any middle, is nearly always out of it.
  const corners = [plain, over].map((picture) => resize(picture, 32, 18).data.slice(0, 3));
  expect(Math.abs(corners[0]![0]! - corners[1]![0]!)).toBeLessThan(40);
});

/** Reads every picture that has a box, as if it were the needle. */
function boxReader(): Pick<PictureReader, 'config' | 'read' | 'hash'> & { asked: number } {
  const reader = {
    asked: 0,
    config: { vision: { imageSize: 192 } } as PictureReader['config'],
    hash: async () => '',
    async read(picture: Raster) {
      reader.asked++;
      return boxed(picture) > 0.3 ? ['The secret word is', '"acorn"'] : [];
    },
  };
  return reader;
}

it('goes through the product: the needle is a segment with its time, and a picture is read once', async () => {
  const film = await Film.open(3);
  const reader = boxReader();
  const once = readingOnce(reader as unknown as PictureReader);
  const pictures = Array.from({ length: 12 }, (_, second) => (second === 8 ? { second, text: 'The secret word is "acorn"' } : { second }));
  const { segments, source } = await watch(film, pictures, once);
  expect(segments).toEqual([{ source: 0, text: 'The secret word is "acorn"\n', time: [8, 9], fromPicture: true }]);
  expect(source).toMatchObject({ kind: 'video', seconds: 12 });
  const asked = reader.asked;
  await watch(film, pictures, once);
  expect(reader.asked).toBe(asked + 1);
});

it('is asked with its controls, and counts what is cited near its time', async () => {
  const { answerer, spy } = standIn(knowsAll);
  const watched: number[] = [];
  const seen = {
    ...answerer,
    watch: async (_: number, pictures: readonly FilmPicture[]) => {
      watched.push(pictures.length);
      // Every other needle is read too late to count.
      const segments = pictures.flatMap(({ second, text }) => {
        const time = second + (second % 2 === 0 ? 2 : 3);
        return text === undefined ? [] : [{ source: 0, text: `${text}\n`, time: [time, time + 1] as const }];
      });
      return { source: { path: 'film', kind: 'video', bytes: 0, sha256: '', seconds: pictures.length }, segments, warnings: [] } as const;
    },
  };
  const plan = [planned(spy(suite), [60], 10, 2)];
  const records: TrialRecord[] = [];
  for await (const some of runTrials(seen, plan, { seed: 1, looks: 0 })) records.push(...some);
  expect(watched.toSorted((a, b) => a - b)).toEqual([1, 1, 59, 59, ...Array.from({ length: 10 }, () => 60)]);
  const [summary] = summarise(plan, records, 0.85);
  expect(summary).toMatchObject({ unit: 'seconds', overall: { hits: 10 }, controls: { alone: { trials: 2 }, without: { trials: 2 } } });
  const near = records.filter(({ control, recorded }) => control === null && recorded!.seconds_off === 2).length;
  expect(near).toBeGreaterThan(0);
  expect(near).toBeLessThan(10);
  expect(summary!.recorded).toEqual({ perceived: 10, of: 10, found: 10, near });
});

it('says what it needs where nothing reads pictures', async () => {
  const [trial] = await trials(60);
  await expect(inquiryOf(trial!)).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('--see') as string });
});
