/** Questions about a video: pictures and speech on one line of time, what fits, and that nothing is encoded twice. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AskEvent } from '../../src/answer/answer.js';
import { ask, planAsk, type AskRequest } from '../../src/answer/ask.js';
import { selectDevice } from '../../src/device/select.js';
import { buildPrompt } from '../../src/encode/prompt.js';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import type { IngestedSource, Raster } from '../../src/ingest/segment.js';
import { colours, describeWithFfmpeg, make } from '../ingest/media/support.js';
import { scratch } from '../ingest/support.js';
import { writeImageModel } from './image-model.js';

const dir = scratch();
writeImageModel(dir);

const { device } = await selectDevice('auto');
afterAll(() => device.close());
const never = new AbortController().signal;
const quiet = (): void => undefined;
const [start, end, soft] = [500, 501, 512];
const block = [start, soft, soft, soft, soft, end];

it('has the time before each picture, and what was said between them', async () => {
  const tokenizer = await openTokenizer(dir);
  const image: Raster = { width: 2, height: 2, data: new Uint8Array(12) };
  const film: IngestedSource = {
    source: { path: 'a.mp4', kind: 'video', bytes: 1, sha256: '' },
    segments: [
      { source: 0, text: '', image, time: [0, 2] },
      { source: 0, text: 'Good evening.\n', time: [1, 2] },
      { source: 0, text: '', image, time: [3725, 3726] },
      { source: 0, text: 'Good night.\n', time: [3726, 3727] },
    ],
    warnings: [],
  };
  const vision = { tokens: { start, end, soft }, tokensPerImage: 4 };
  const { ids, images, sourceTokens } = await buildPrompt('gemma-chat', 'What?', [film], tokenizer, never, { vision, tiles: 'auto' });
  const texts = ['<document name="a.mp4">\n', '00:00\n\n', '\n\n', '[00:01] Good evening.\n1:02:05\n\n', '\n\n', '[1:02:06] Good night.\n', '</document>\n\n'];
  const [open, first, gap, second, , last, close] = await Promise.all(texts.map((text) => tokenizer.encodeText(text)));
  const inside = [...first!, ...block, ...gap!, ...second!, ...block, ...gap!, ...last!];
  expect([...ids].join()).toContain([...open!, ...inside, ...close!].join());
  expect(sourceTokens).toEqual([inside.length]);
  expect(images).toHaveLength(2);
});

describeWithFfmpeg('a film', () => {
  let request: AskRequest;
  const folder = join(dir, 'cache');
  beforeAll(() => {
    const film = make(dir, 'film.mp4', ...colours(['red', 'green', 'green', 'blue']));
    request = { question: 'What is it?', paths: [film], modelDir: dir, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 3, chunk: 512, looks: 0, cache: { folder, sessionBytes: 0 } };
  });

  it('is planned with its pictures, and how many would fit', async () => {
    const plan = await planAsk(request, device, never, quiet);
    expect(plan.sources).toMatchObject([{ kind: 'video', frames: { shown: 3, repeated: 1, skipped: 0, scenes: 3 } }]);
    expect(plan.frames).toEqual({ shown: 3, fit: 3 });
    const often = { ...request, frames: { fps: 50, choice: 'all' } as const };
    const crowded = await planAsk(often, device, never, quiet);
    expect(crowded.frames).toMatchObject({ shown: 200 });
    expect(crowded.frames!.fit).toBeLessThan(200);
    await expect(ask(often, device, never, quiet)).rejects.toThrow(new RegExp(`of 200 pictures ${crowded.frames!.fit} fit.*--from and --to, look at fewer pictures with --fps`, 'u'));
    expect((await planAsk({ ...request, range: { from: 1.5, to: 2.5 } }, device, never, quiet)).frames).toEqual({ shown: 1, fit: 1 });
  });

  it('is encoded once, picture by picture: an interrupted run goes on', async () => {
    const stop = new AbortController();
    const stopping = (event: AskEvent): void => {
      if (event.type === 'image' && event.done > 1.5) stop.abort(new Error('enough'));
    };
    await expect(ask(request, device, stop.signal, stopping)).rejects.toThrow('enough');
    const kept = (): string[] => readdirSync(join(folder, 'images')).sort();
    expect(kept()).toHaveLength(1);
    // A file that is written again is another one.
    const { ino } = statSync(join(folder, 'images', kept()[0]!));
    const events: AskEvent[] = [];
    const first = await ask(request, device, never, (event) => events.push(event));
    expect(kept()).toHaveLength(3);
    expect(kept().map((name) => statSync(join(folder, 'images', name)).ino)).toContain(ino);
    // A file that was cut short is no soft tokens.
    writeFileSync(join(folder, 'images', kept()[1]!), 'x');
    const again = await ask(request, device, never, quiet);
    const { cache: _, ...uncached } = request;
    const afresh = await ask(uncached, device, never, quiet);
    for (const other of [again, afresh]) expect([other.answer, other.confidence]).toEqual([first.answer, first.confidence]);
    expect(first.sources).toMatchObject([{ frames: { shown: 3, repeated: 1 } }]);
    expect(events.filter((event) => event.type === 'warning' && event.message.includes('film.mp4'))).toEqual([]);
  });
});
