/** Questions about images: the prompt, what it costs, and that the model sees them. */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import type { AskEvent } from '../../src/answer/answer.js';
import { cite } from '../../src/answer/citations.js';
import { formatPlan } from '../../src/ui/plain.js';
import { ask, planAsk, type AskRequest } from '../../src/answer/ask.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { buildPrompt, parseAnswer } from '../../src/encode/prompt.js';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { ingest } from '../../src/ingest/ingest.js';
import { embeddedModelDir } from '../../src/paths.js';
import { linesOfText, pdfOfContents, streamBody } from '../ingest/pdf-builder.js';
import { scratch } from '../ingest/support.js';
import { fixtureDir } from '../runtime/fixture.js';
import { imageDir } from '../runtime/image-fixture.js';

const dir = scratch();
/** The random image model, with a tokenizer and room for a prompt. */
const config = JSON.parse(readFileSync(join(imageDir, 'config.json'), 'utf8')) as { text_config: Record<string, unknown> };
config.text_config['max_position_embeddings'] = 4096;
writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
copyFileSync(join(imageDir, 'model.safetensors'), join(dir, 'model.safetensors'));
copyFileSync(join(fixtureDir, 'tokenizer.json'), join(dir, 'tokenizer.json'));

async function picture(name: string, width: number, height: number, colour: string): Promise<string> {
  const path = join(dir, name);
  const stripe = await sharp({ create: { width: Math.ceil(width / 3), height, channels: 3, background: 'black' } }).png().toBuffer();
  await sharp({ create: { width, height, channels: 3, background: colour } }).composite([{ input: stripe, left: 0, top: 0 }]).png().toFile(path);
  return path;
}
const square = await picture('square.png', 40, 40, 'red');
const other = await picture('other.webp', 40, 40, 'green');
const wide = await picture('wide.png', 600, 300, 'blue');
const text = join(dir, 'a.txt');
writeFileSync(text, 'The harbour fee is nine crowns.\n');

const device = createReferenceDevice();
afterAll(() => device.close());
const never = new AbortController().signal;
const request: AskRequest = {
  question: 'What is it?',
  paths: [square],
  modelDir: dir,
  quantize: 'none',
  sampling: { temperature: 0 },
  maxTokens: 3,
  chunk: 512,
  looks: 0,
};
const quiet = (): void => undefined;
const [start, end, soft] = [500, 501, 512];
const block = [start, soft, soft, soft, soft, end];

describe('the prompt', async () => {
  const tokenizer = await openTokenizer(dir);
  const vision = { tokens: { start, end, soft }, tokensPerImage: 4 };

  it('has an image between line ends that are encoded with the text beside them', async () => {
    const { ids, images, sourceTokens } = await buildPrompt('gemma-chat', 'What?', await ingest([square], { images: true }), tokenizer, never, { vision, tiles: 'auto' });
    const name = JSON.stringify(square);
    const expected = [
      ...(await tokenizer.encodeText(`<document name=${name}>\n\n\n`)),
      ...block,
      ...(await tokenizer.encodeText('\n\n</document>\n\n')),
    ];
    expect([...ids].join()).toContain(expected.join());
    expect(sourceTokens).toEqual([block.length]);
    expect(images?.map(({ source, box }) => [source, box])).toEqual([[0, null]]);
  });

  it('shows a wide image whole and in crops, with the words of the model’s own processor', async () => {
    const sources = await ingest([text, wide], { images: true });
    const { ids, images, sourceTokens } = await buildPrompt('gemma-chat', 'What?', sources, tokenizer, never, { vision, tiles: 'auto' });
    const expected = [
      ...(await tokenizer.encodeText(`<document name=${JSON.stringify(wide)}>\nHere is the original image \n\n`)),
      ...block,
      ...(await tokenizer.encodeText('\n\n and here are some crops to help you see better \n\n')),
      ...block,
      ...(await tokenizer.encodeText('\n\n \n\n')),
      ...block,
    ];
    expect([...ids].join()).toContain(expected.join());
    expect(sourceTokens[1]).toBe(3 * block.length + (await tokenizer.encodeText('\n\n and here are some crops to help you see better \n\n')).length + (await tokenizer.encodeText('\n\n \n\n')).length);
    expect(images?.map(({ source, box }) => [source, box?.left, box?.right])).toEqual([[1, undefined, undefined], [1, 0, 300], [1, 300, 600]]);
    await expect(buildPrompt('gemma-chat', 'What?', sources, tokenizer)).rejects.toThrow(RangeError);
  });
});

it('plans what images and their crops cost', async () => {
  const plan = await planAsk({ ...request, paths: [square, wide, text] }, device, never, quiet);
  expect(plan.sources.map(({ kind, views }) => [kind, views])).toEqual([['image', 1], ['image', 3], ['text', undefined]]);
  const none = await planAsk({ ...request, paths: [square, wide, text], tiles: 0 }, device, never, quiet);
  expect(none.sources.map(({ views, tokens }) => [views, tokens]).slice(0, 2)).toEqual([[1, 6], [1, 6]]);
  expect(plan.tokens.prompt - none.tokens.prompt).toBeGreaterThanOrEqual(12);
  const five = await planAsk({ ...request, paths: [square], tiles: 5 }, device, never, quiet);
  expect(five.sources[0]!.views).toBe(6);
  // The vision tower is loaded only where there is something to see.
  const words = await planAsk({ ...request, paths: [text] }, device, never, quiet);
  expect(plan.model.weight_bytes - words.model.weight_bytes).toBeGreaterThan(100_000);
});

it('names the images where they do not fit, and how they take less', async () => {
  const many = { ...request, paths: Array.from({ length: 9 }, () => wide), tiles: 64 };
  await expect(ask(many, device, never, quiet)).rejects.toThrow(/wide\.png: \d+ tokens.*show images whole only with --tiles 0, or a model/);
  await expect(ask({ ...request, maxTokens: 4096 }, device, never, quiet)).rejects.toThrow(/choose pages with --pages, or a model/);
});

it('sees the image, gives everything back, and answers the same again', async () => {
  const events: AskEvent[] = [];
  const before = device.allocatedBytes;
  const first = await ask(request, device, never, (event) => events.push(event));
  expect(device.allocatedBytes).toBe(before);
  expect(first.sources[0]).toMatchObject({ kind: 'image', views: 1, tokens: 6 });
  const again = await ask({ ...request, chunk: 7 }, device, never, quiet);
  expect([again.answer, again.confidence]).toEqual([first.answer, first.confidence]);
  const green = await ask({ ...request, paths: [other] }, device, never, quiet);
  expect(green.confidence).not.toBe(first.confidence);
  const progress = events.flatMap((event) => (event.type === 'image' ? [event.done] : []));
  expect(progress.at(-1)).toBe(1);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
});

it('refuses an image by name where the model reads text only', async () => {
  const error: unknown = await ask({ ...request, modelDir: embeddedModelDir }, device, never, quiet).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(LodestoneError);
  const { exitCode, message } = error as LodestoneError;
  expect(exitCode).toBe(ExitCode.unreadableInput);
  expect(message).toMatch(/square\.png is a PNG image, and lodestone-tiny reads text only; name the folder of a Gemma 3 that sees .* with -m, or its GGUF file/);
});

describe('pages of a PDF', async () => {
  const tokenizer = await openTokenizer(dir);
  const sentence = 'The spare key hangs behind the clock.';
  const square = (level: number): Buffer => streamBody(Buffer.from(`${level} g 100 100 300 300 re f`));
  const scanned = join(dir, 'scanned.pdf');
  writeFileSync(scanned, pdfOfContents([linesOfText([sentence]), square(0.2), square(0.6)]));
  const withScan = { ...request, paths: [scanned] };

  it('without text are images in the prompt, each after its mark', async () => {
    const sources = await ingest([scanned], { images: true });
    const vision = { tokens: { start, end, soft }, tokensPerImage: 4 };
    const { ids, images, sourceTokens } = await buildPrompt('gemma-chat', 'What?', sources, tokenizer, never, { vision, tiles: 0 });
    const shown = async (page: number): Promise<number[]> => [...(await tokenizer.encodeText(`[page ${page}]\n\n\n`)), ...block, ...(await tokenizer.encodeText('\n\n'))];
    const pages = [...(await tokenizer.encodeText(`[page 1]\n${sentence}\n`)), ...(await shown(2)), ...(await shown(3))];
    expect([...ids].join()).toContain([...(await tokenizer.encodeText(`<document name=${JSON.stringify(scanned)}>\n`)), ...pages, ...(await tokenizer.encodeText('</document>\n\n'))].join());
    expect(sourceTokens).toEqual([pages.length]);
    expect(images?.map(({ source, page, box }) => [source, page, box])).toEqual([[0, 2, null], [0, 3, null]]);
    expect([...ids].join()).toContain((await tokenizer.encodeText('the sentence that holds the answer, and behind it the [page] it is on.')).slice(2, -2).join());
  });

  it('are counted by a dry run, with their crops', async () => {
    const events: AskEvent[] = [];
    const plan = await planAsk({ ...withScan, tiles: 2 }, device, never, (event) => events.push(event));
    expect(plan.sources[0]).toMatchObject({ kind: 'pdf', pages: 3, page_images: 2, views: 6 });
    expect(formatPlan(plan)).toMatch(/scanned\.pdf {2}pdf, 3 pages, 2 of them as images and 4 crops {2}\d+ tokens/);
    expect(events).toContainEqual({ type: 'warning', message: expect.stringMatching(/scanned\.pdf: pages 2-3 have no text layer and are shown to the model as images/) as string });
    const whole = await planAsk({ ...withScan, tiles: 0 }, device, never, quiet);
    expect(whole.sources[0]).toMatchObject({ page_images: 2, views: 2 });
    const all = await planAsk({ ...withScan, tiles: 0, pagesAsImages: true }, device, never, quiet);
    expect(all.sources[0]).toMatchObject({ page_images: 3, views: 3 });
    expect(formatPlan(all)).toMatch(/3 pages, all of them as images {2}/);
  });

  it('are seen: what is on them moves the answer', async () => {
    const before = device.allocatedBytes;
    const answer = await ask({ ...withScan, tiles: 0 }, device, never, quiet);
    expect(device.allocatedBytes).toBe(before);
    const black = join(dir, 'black.pdf');
    writeFileSync(black, pdfOfContents([linesOfText([sentence]), square(0), square(0.6)]));
    const other = await ask({ ...withScan, paths: [black], tiles: 0 }, device, never, quiet);
    expect(other.confidence).not.toBe(answer.confidence);
  });

  it('keep their number: quotes are found in the text layer, or cited by the page that the model names', async () => {
    const read = async (pagesSeen: 'all' | 'textless') => ingest([scanned], { images: true, pageImages: { which: pagesSeen, edge: 56 } });
    const all = await read('all');
    const named = parseAnswer('gemma-chat', 'Seven\nQuote: "There are seven." [page 3]', false);
    expect(named).toEqual({ found: true, answer: 'Seven', needle: 'There are seven.', page: 3 });
    expect(cite('Where is the key?', sentence, all)).toEqual([{ source: scanned, page: 1, quote: sentence, verified: true }]);
    expect(cite('How many?', named.needle, all, undefined, named.page)).toEqual([{ source: scanned, page: 3, quote: 'There are seven.', verified: false }]);
    // Of several pages that it may be, none is guessed; and a page that isn't there is not believed.
    expect(cite('How many?', named.needle, all)).toEqual([]);
    expect(cite('How many?', named.needle, all, undefined, 9)).toEqual([]);
    expect(cite('How many?', named.needle, [{ ...all[0]!, segments: all[0]!.segments.slice(1, 2) }])).toMatchObject([{ page: 2, verified: false }]);
  });

  it('as images need a model that sees', async () => {
    const error: unknown = await planAsk({ ...withScan, modelDir: embeddedModelDir, pagesAsImages: true }, device, never, quiet).catch((e: unknown) => e);
    expect(error).toMatchObject({ exitCode: ExitCode.usage, message: expect.stringMatching(/--pages-as-images needs a model that sees, and lodestone-tiny reads text only; name the folder/) as string });
  });
});
