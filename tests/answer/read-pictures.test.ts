/** A model that reads text only is asked about an image, and another one reads that for it. */
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AskEvent } from '../../src/answer/answer.js';
import { ask, prepare, type AskRequest } from '../../src/answer/ask.js';
import { selectDevice } from '../../src/device/select.js';
import { embeddedModelDir } from '../../src/paths.js';
import { scratch } from '../ingest/support.js';
import { colourPicture, writeColourTower } from '../see/colour-tower.js';

const dir = scratch();
const see = scratch();
const { device } = await selectDevice('auto', { threads: 1 });
const never = new AbortController().signal;
afterAll(() => device.close());

async function png(name: string, rows: readonly string[]): Promise<string> {
  const { width, height, data } = colourPicture(rows);
  const path = join(dir, name);
  await sharp(data, { raw: { width, height, channels: 3 } }).png().toFile(path);
  return path;
}

beforeAll(() => writeColourTower(see));

const request = (path: string): AskRequest => ({ question: 'What does it say?', paths: [path], modelDir: embeddedModelDir, see, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 4, chunk: 64, looks: 0 });

it('gets its lines as text, marked as read in a picture', async () => {
  const { sources, prompt } = await prepare(request(await png('text.png', ['aba.', '....', 'bb!.'])), device, never, () => undefined);
  expect(sources[0]!.segments).toEqual([{ source: 0, text: 'aba\nbb!\n', fromPicture: true }]);
  expect(prompt.images).toBeUndefined();
  expect(prompt.sourceTokens[0]).toBeGreaterThan(2);
});

it('says so where there is nothing to read, and answers that it is not there', async () => {
  const events: AskEvent[] = [];
  const answer = await ask(request(await png('empty.png', [])), device, never, (event) => events.push(event));
  expect(events).toContainEqual({ type: 'warning', message: expect.stringMatching(/empty\.png: no text was read in it/u) as string });
  expect(answer).toMatchObject({ found: false, citations: [] });
});
