/** Pages of a PDF as images: which are drawn, what is on them, and that hostile ones stay within bounds. */
import { describe, expect, it } from 'vitest';
import { LodestoneError } from '../../src/errors.js';
import { ingest, type IngestOptions } from '../../src/ingest/ingest.js';
import type { Raster } from '../../src/ingest/segment.js';
import { deflated, linesOfText, pdfFile, pdfOfContents, pdfOfLines, streamBody, type SimplePdf } from './pdf-builder.js';
import { file, fixture, refusal, scratch } from './support.js';

const dir = scratch();
const edge = 200;
const all: IngestOptions = { images: true, pageImages: { which: 'all', edge } };
const textless: IngestOptions = { images: true, pageImages: { which: 'textless', edge } };

async function pages(name: string, pdf: Uint8Array, options: IngestOptions) {
  const [source] = await ingest([file(dir, name, pdf)], options);
  return { pages: source!.segments.map(({ page, text, image }) => ({ page, text: text.trim(), image })), warnings: source!.warnings };
}

function refused(name: string, pdf: Uint8Array, options: IngestOptions) {
  return refusal(ingest([file(dir, name, pdf)], options), name);
}

function pixel({ width, data }: Raster, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3, (y * width + x + 1) * 3)];
}

const red = 'q 1 0 0 rg 0 0 306 396 re f Q\n';
const drawing = (operators: string): Buffer => streamBody(Buffer.from(operators, 'latin1'));
const one = (operators: string, options?: SimplePdf): Buffer => pdfOfContents([drawing(operators)], options);

/** A page with one image of `side` x `side` grey pixels all over it, and text if any. */
function scan(side: number, text = ''): Buffer {
  return pdfFile([
    '<</Type/Catalog/Pages 2 0 R>>',
    '<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 600 600]>>',
    '<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>/Font<</F 6 0 R>>>>>>',
    drawing(`q 600 0 0 600 0 0 cm /I Do Q BT /F 12 Tf 72 520 Td (${text}) Tj ET`),
    Buffer.concat([deflated(Buffer.alloc(side * side, 77))].map((body) => Buffer.from(body.toString('latin1').replace('<<', `<</Type/XObject/Subtype/Image/Width ${side}/Height ${side}/BitsPerComponent 8/ColorSpace/DeviceGray`), 'latin1'))),
    '<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>',
  ]);
}

describe('what is drawn', () => {
  it('what the page says, where it says it, on white', async () => {
    const { pages: [page] } = await pages('red.pdf', one(red), textless);
    const image = page!.image!;
    expect([page!.page, image.width, image.height]).toEqual([1, Math.round((612 / 792) * edge), edge]);
    // PDF counts from the bottom: the lower left quarter is red.
    expect(pixel(image, 5, edge - 5)).toEqual([255, 0, 0]);
    expect(pixel(image, 70, 105)).toEqual([255, 0, 0]);
    expect(pixel(image, 85, 195)).toEqual([255, 255, 255]);
    expect(pixel(image, 5, 90)).toEqual([255, 255, 255]);
  });
  it('text too, in fonts that the file leaves to the reader', async () => {
    const { pages: [page] } = await pages('words.pdf', pdfOfLines([['MMMM']]), { images: true, pageImages: { which: 'all', edge: 792 } });
    const dark = page!.image!.data.filter((level) => level < 128).length;
    expect(dark).toBeGreaterThan(200);
    expect(page!.text).toBe('MMMM');
  });
  it('a page that is turned, as it is read', async () => {
    const turned = Buffer.from(one(red).toString('latin1').replace('/Type/Page/Parent', '/Rotate 90/Type/Page/Parent').replace(/startxref\n\d+/, 'startxref\n7'), 'latin1');
    const { pages: [page] } = await pages('turned.pdf', turned, textless);
    expect([page!.image!.width, page!.image!.height]).toEqual([edge, Math.round((612 / 792) * edge)]);
    expect(pixel(page!.image!, 5, 5)).toEqual([255, 0, 0]);
  });
});

describe('which pages', () => {
  const prose = ['The quick brown fox jumps over the lazy dog.'];
  const mixed = pdfOfContents([linesOfText(prose), drawing(red), drawing(''), linesOfText(['Page 4'])]);

  it('those without text, by themselves; blank ones are said and not shown', async () => {
    const { pages: found, warnings } = await pages('mixed.pdf', mixed, textless);
    expect(found.map(({ page, text, image }) => [page, text, image !== undefined])).toEqual([
      [1, prose[0], false],
      [2, '', true],
      [4, 'Page 4', false],
    ]);
    expect(warnings).toEqual(['page 3 is blank', 'page 2 has no text layer and is shown to the model as an image']);
  });
  it('all of them where that is asked for, with their text for quotes', async () => {
    const { pages: found, warnings } = await pages('mixed.pdf', mixed, all);
    expect(found.map(({ page, text, image }) => [page, text, image !== undefined])).toEqual([
      [1, prose[0], true],
      [2, '', true],
      [4, 'Page 4', true],
    ]);
    expect(warnings).toEqual(['page 3 is blank']);
  });
  it('a scan with a stamp of a few characters on it', async () => {
    expect((await pages('stamp.pdf', scan(8, 'Page 7'), textless)).pages[0]).toMatchObject({ text: 'Page 7', image: { width: edge, height: edge } });
    const words = 'An illustrated page with as much text as pages have';
    expect((await pages('plate.pdf', scan(8, words), textless)).pages).toEqual([{ page: 1, text: words, image: undefined }]);
  });
  it('only those chosen', async () => {
    const { pages: found } = await pages('mixed.pdf', mixed, { ...all, pages: [{ from: 2, to: 2 }] });
    expect(found.map(({ page }) => page)).toEqual([2]);
  });
  it('a real scan, and no longer a refusal', async () => {
    const name = 'haystack_non-text-searchable.pdf';
    const [source] = await ingest([fixture('media', name)], textless);
    expect(source!.segments).toMatchObject([{ page: 1, text: '', image: { width: Math.round((612 / 792) * edge), height: edge } }]);
  });
  it('none for a model without eyes', async () => {
    expect(await refused('red.pdf', one(red), { images: 'and blind-1b reads text only' })).toMatch(/no text layer: its pages are images or blank, and blind-1b reads text only/);
  });
  it('a document of blank pages says so', async () => {
    expect(await refused('blank.pdf', pdfOfLines([[], []]), all)).toMatch(/nothing on it: every page is blank/);
  });
  it('--pages-as-images without a PDF is a slip', async () => {
    const error = await ingest([file(dir, 'a.txt', 'text\n')], all).catch((e: unknown) => e);
    expect(error).toMatchObject({ exitCode: 2, message: expect.stringMatching(/--pages-as-images shows pages of a PDF, and .*a\.txt has none/) as string });
  });
});

describe('made to exhaust', () => {
  it.each([
    ['[0 0 20000 20000]', edge, edge],
    ['[0 0 200000000 200000000]', edge, edge],
    ['[0 0 1 100000]', 1, edge],
  ])('a page of %s', async (mediaBox, width, height) => {
    const { pages: [page] } = await pages('size.pdf', one(`1 0 0 rg 0 0 9e9 ${Number(mediaBox.split(' ').at(-1)!.slice(0, -1)) / 2} re f`, { mediaBox }), textless);
    expect([page!.image!.width, page!.image!.height]).toEqual([width, height]);
    expect([pixel(page!.image!, 0, 5), pixel(page!.image!, 0, edge - 5)]).toEqual([[255, 255, 255], [255, 0, 0]]);
  });
  it('a picture of more pixels than are read is refused, and takes no memory', async () => {
    const bomb = scan(8_000);
    expect(bomb.length).toBeLessThan(100_000);
    expect(await refused('picture.pdf', bomb, { ...textless, limits: { imagePixels: 1_000_000 } })).toMatch(/picture on page 1 with more pixels than are read/);
  });
  it('drawing without end, small in the file', async () => {
    const bomb = pdfOfContents([deflated(Buffer.from('0 0 m 600 700 300 100 9 9 c 1 0 0 rg f\n'.repeat(2_000_000), 'latin1'))]);
    expect(bomb.length).toBeLessThan(1024 * 1024);
    const started = performance.now();
    expect(await refused('drawing.pdf', bomb, { ...textless, limits: { documentMs: 1500, pageMs: 1500 } })).toMatch(/was given up/);
    expect(performance.now() - started).toBeLessThan(5000);
  });
  it('patterns and groups of any size', async () => {
    const pattern = pdfFile([
      '<</Type/Catalog/Pages 2 0 R>>',
      '<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 600 600]>>',
      '<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Pattern<</P 5 0 R>>/XObject<</G 6 0 R>>>>>>',
      drawing('/Pattern cs /P scn 0 0 600 600 re f /G Do'),
      Buffer.from(streamBody(Buffer.from('1 0 0 rg 0 0 9 9 re f')).toString('latin1').replace('<<', '<</PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1e7 1e7]/XStep 0.001/YStep 0.001/Resources<<>>'), 'latin1'),
      Buffer.from(streamBody(Buffer.from('0 0 1 rg 0 0 1e6 1e6 re f')).toString('latin1').replace('<<', '<</Type/XObject/Subtype/Form/BBox[0 0 1e7 1e7]/Matrix[1e5 0 0 1e5 0 0]/Group<</S/Transparency>>'), 'latin1'),
    ]);
    const outcome = await pages('pattern.pdf', pattern, { ...textless, limits: { documentMs: 1500, pageMs: 1500 } }).catch((error: unknown) => error);
    if (outcome instanceof Error) expect(outcome).toBeInstanceOf(LodestoneError);
  });
  it('more page images than are held', async () => {
    const many = pdfOfContents(Array.from({ length: 4 }, () => drawing(red)));
    expect(await refused('many.pdf', many, { ...textless, limits: { pagePixels: 100_000 } })).toMatch(/more pages to be shown as images than are held at once \(3, up to page 3\); choose fewer with --pages/);
  });
  it('an interruption ends the drawing', async () => {
    const bomb = pdfOfContents([deflated(Buffer.from('0 0 m 600 700 300 100 9 9 c 1 0 0 rg f\n'.repeat(1_000_000), 'latin1'))]);
    const control = new AbortController();
    const stop = new Error('stop');
    const reading = ingest([file(dir, 'stop.pdf', bomb)], { ...textless, signal: control.signal });
    setTimeout(() => control.abort(stop), 800);
    await expect(reading).rejects.toBe(stop);
  });
});
