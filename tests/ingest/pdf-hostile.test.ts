/** PDFs that are broken, locked, or made to exhaust whoever reads them. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { ingest } from '../../src/ingest/ingest.js';
import { workerFile } from '../../src/ingest/pdf.js';
import { packageRoot } from '../../src/paths.js';
import { deflated, pdfFile, pdfOfContents, pdfOfLines, streamBody } from './pdf-builder.js';
import { file, fixture, refusal, scratch, squash } from './support.js';

const dir = scratch();
const report = readFileSync(fixture('long-report.pdf'));
const prose = ['The quick brown fox jumps over the lazy dog.', 'It thinks no more of it.'];

async function textOf(name: string, pdf: Uint8Array, options: Parameters<typeof ingest>[1] = {}) {
  const [source] = await ingest([file(dir, name, pdf)], options);
  return { text: squash(source!.segments.map(({ text }) => text).join('')), warnings: source!.warnings, pages: source!.source.pages };
}

function refused(name: string, pdf: Uint8Array, options: Parameters<typeof ingest>[1] = {}) {
  return refusal(ingest([file(dir, name, pdf)], options), name);
}

/** How many threads this process has beside its own. */
function threads(): number {
  return (process.report.getReport() as { workers: unknown[] }).workers.length;
}

describe('damaged', () => {
  it('what the builder makes is none', async () => {
    expect(await textOf('good.pdf', pdfOfLines([prose, ['Page two.']]))).toEqual({ text: `${prose.join(' ')} Page two.`, warnings: [], pages: 2 });
  });
  it.each([0.02, 0.3, 0.6, 0.9])('truncated at %d', async (share) => {
    expect(await refused('cut.pdf', report.subarray(0, Math.floor(share * report.length)))).toMatch(/truncated or damaged/);
  });
  it('only the header', async () => {
    await refused('header.pdf', Buffer.from('%PDF-1.7\n'));
  });
  it('a header and junk', async () => {
    await refused('junk.pdf', Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * i * 31 + 7) % 256))]));
  });
  it('HTML under the name of a PDF is text', async () => {
    const [page] = await ingest([file(dir, 'page.pdf', '<!doctype html><p>Not found</p>\n')]);
    expect(page!.source.kind).toBe('text');
  });
  it('empty', async () => {
    expect(await refused('empty.pdf', Buffer.alloc(0))).toMatch(/is empty/);
  });
  it('junk before it and a table that points nowhere are mended, and said', async () => {
    const moved = Buffer.concat([Buffer.alloc(500, 0x20), pdfOfLines([prose])]);
    expect((await textOf('moved.pdf', moved)).text).toBe(prose.join(' '));
    const lost = Buffer.from(pdfOfLines([prose]).toString('latin1').replace(/startxref\n\d+/, 'startxref\n7'), 'latin1');
    const { text, warnings } = await textOf('lost.pdf', lost);
    expect(text).toBe(prose.join(' '));
    expect(warnings.join()).toMatch(/damaged and was repaired/);
  });
  it('a page that is missing names itself', async () => {
    const pdf = Buffer.from(pdfOfLines([prose, prose, prose]).toString('latin1').replace('6 0 R 8', '99 0 R 8').replace(/startxref\n\d+/, 'startxref\n7'), 'latin1');
    expect(await refused('hole.pdf', pdf)).toMatch(/page 2|damaged/);
  });
  it('a hundred bytes changed at random: text, or a refusal that says so', async () => {
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const memo = readFileSync(fixture('media', 'unstructured_fake-memo.pdf'));
    for (let round = 0; round < 12; round++) {
      const broken = Buffer.from(memo);
      for (let i = 0; i < 100; i++) {
        broken[random(broken.length)] = random(256);
      }
      broken.write('%PDF-', 0, 'latin1');
      const outcome = await textOf('random.pdf', broken).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect(outcome).toBeInstanceOf(LodestoneError);
        expect(outcome.message).toContain('random.pdf');
      }
    }
  });
});

describe('without text', () => {
  it('blank pages', async () => {
    expect(await refused('blank.pdf', pdfOfLines([[], []]))).toMatch(/no text/);
  });
  it('no pages', async () => {
    await refused('none.pdf', pdfFile(['<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[]/Count 0>>']));
  });
  it('a blank page among others is said', async () => {
    const { warnings } = await textOf('gap.pdf', pdfOfLines([prose, [], prose, []]));
    expect(warnings).toEqual(['pages 2, 4 have no text (blank, or an image, which this model can\'t see)']);
  });
});

describe('encrypted', () => {
  const name = 'encrypted.pdf';
  const locked = fixture(name);
  it('without a password', async () => {
    expect(await refusal(ingest([locked]), name)).toMatch(/encrypted.*--password/);
  });
  it('with a wrong one', async () => {
    expect(await refusal(ingest([locked], { password: 'magnet' }), name)).toMatch(/not the right one/);
    expect(await refusal(ingest([locked], { password: '' }), name)).toMatch(/password/);
  });
  it('with the right one', async () => {
    const [source] = await ingest([locked], { password: 'lodestone' });
    expect(squash(source!.segments[0]!.text)).toContain('The spare key to the north gate hangs behind the clock in the porter’s room.');
    expect(source!.warnings).toEqual([]);
  });
  it('a password for a PDF that needs none does no harm', async () => {
    expect((await textOf('open.pdf', pdfOfLines([prose]), { password: 'x' })).text).toBe(prose.join(' '));
  });
});

describe('made to exhaust', () => {
  it('a page tree that contains itself', async () => {
    const message = await refused('circle.pdf', pdfFile(['<</Type/Catalog/Pages 2 0 R>>', '<</Type/Pages/Kids[2 0 R]/Count 2>>']));
    expect(message).toMatch(/damaged/);
  });
  it('a billion pages claimed', async () => {
    const outcome = await textOf('billion.pdf', pdfOfLines([prose], { count: 1_000_000_000 })).catch((error: unknown) => error);
    if (outcome instanceof Error) {
      expect(outcome.message).toMatch(/billion\.pdf claims to have 1000000000 pages/);
    } else {
      expect(outcome).toMatchObject({ text: prose.join(' '), pages: 1 });
    }
  });
  it('more pages than are allowed', async () => {
    expect(await refused('many.pdf', pdfOfLines([prose, prose, prose]), { limits: { pages: 2 } })).toMatch(/3 pages/);
  });
  it('a page the size of a town', async () => {
    expect((await textOf('huge.pdf', pdfOfLines([prose], { mediaBox: '[0 0 200000000 200000000]' }))).text).toBe(prose.join(' '));
    expect((await textOf('nan.pdf', pdfOfLines([prose], { mediaBox: '[0 0 1e400 null]' }))).text).toBe(prose.join(' '));
  });
  it('operators without end, small in the file', async () => {
    const operators = Buffer.from('BT /F 9 Tf 9 9 Td (boom) Tj ET\n'.repeat(2_000_000), 'latin1');
    const bomb = pdfOfContents([deflated(operators)]);
    expect(bomb.length).toBeLessThan(1024 * 1024);
    const started = performance.now();
    const message = await refused('bomb.pdf', bomb, { limits: { documentMs: 1500, pageMs: 1500 } });
    expect(message).toMatch(/bomb\.pdf (was given up|holds more text)/);
    expect(performance.now() - started).toBeLessThan(4000);
    expect(threads()).toBe(0);
  });
  it('a page with more text than a page has', async () => {
    const wordy = pdfOfContents([streamBody(Buffer.from(`BT /F 1 Tf 72 720 Td ${'0 -0.2 Td (words and words and words) Tj\n'.repeat(2000)}ET`))]);
    expect(await refused('wordy.pdf', wordy, { limits: { pageChars: 10_000 } })).toMatch(/more text on page 1/);
    expect(await refused('wordy.pdf', wordy, { limits: { documentChars: 10_000 } })).toMatch(/more text than is read from one PDF/);
  });
  it('more heap than the parser may have', async () => {
    const wide = pdfOfContents([deflated(Buffer.from(`BT /F 1 Tf 72 720 Td ${'0.01 -0.01 Td (w) Tj\n'.repeat(1_000_000)}ET`, 'latin1'))]);
    expect(await refused('heap.pdf', wide, { limits: { heapMiB: 24 } })).toMatch(/more than 24 MiB of heap/);
  });
  it('a document that takes too long says how far it came', async () => {
    const message = await refused('slow.pdf', report, { limits: { documentMs: 1, pageMs: 100 } });
    expect(message).toMatch(/given up after \d+ ms (at page \d+ of 27|before it was opened); raise --pdf-timeout/);
  });
  it('a form that draws itself', async () => {
    const form = '<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>/Length 5>>\nstream\n/X Do\nendstream';
    const pdf = pdfFile([
      '<</Type/Catalog/Pages 2 0 R>>',
      '<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 99 99]>>',
      '<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 5 0 R>>>>>>',
      '<</Length 5>>\nstream\n/X Do\nendstream',
      form,
    ]);
    await refused('form.pdf', pdf, { limits: { documentMs: 3000, pageMs: 3000 } });
  });
});

describe('interruption', () => {
  const long = pdfOfLines(Array.from({ length: 1500 }, (_, i) => [`Page ${i + 1} of many.`, ...prose]));
  const interrupted = new LodestoneError(ExitCode.interrupted, 'interrupted');
  it('in the middle of a long PDF ends at once, and its thread with it', async () => {
    const control = new AbortController();
    let aborted = 0;
    let pages = 0;
    const reading = ingest([file(dir, 'long.pdf', long)], {
      signal: control.signal,
      onProgress: ({ unit, done, total }) => {
        if (unit !== 'pages') {
          return;
        }
        pages = done;
        expect(total).toBe(1500);
        if (done === 20) {
          aborted = performance.now();
          control.abort(interrupted);
        }
      },
    });
    await expect(reading).rejects.toBe(interrupted);
    expect(performance.now() - aborted).toBeLessThan(1000);
    expect(pages).toBeLessThan(1500);
    expect(threads()).toBe(0);
  });
  it('of a bomb', async () => {
    const bomb = pdfOfContents([deflated(Buffer.from('BT /F 9 Tf 9 9 Td (boom) Tj ET\n'.repeat(1_000_000), 'latin1'))]);
    const control = new AbortController();
    const reading = ingest([file(dir, 'bomb2.pdf', bomb)], { signal: control.signal });
    setTimeout(() => control.abort(interrupted), 700);
    const started = performance.now();
    await expect(reading).rejects.toBe(interrupted);
    expect(performance.now() - started).toBeLessThan(1700);
    expect(threads()).toBe(0);
  });
  it('leaves this thread free to hear it', async () => {
    let worst = 0;
    let last = performance.now();
    const ticks = setInterval(() => {
      worst = Math.max(worst, performance.now() - last);
      last = performance.now();
    }, 10);
    await ingest([fixture('media', 'federal-register_2020-17221.pdf')]);
    clearInterval(ticks);
    expect(worst).toBeLessThan(500);
  });
});

describe('the parser’s thread', () => {
  it('is the compiled one, also when run from the sources', () => {
    expect(workerFile().href).toBe(pathToFileURL(path.join(packageRoot, 'dist', 'ingest', 'pdf-worker.js')).href);
  });
  it('says how to get it where it is not', () => {
    expect(() => workerFile(pathToFileURL(path.join(dir, 'src', 'ingest', 'pdf.ts')).href)).toThrow(/pdf-worker\.js.*missing: run npm run build/);
    expect(() => workerFile(pathToFileURL(path.join(dir, 'dist', 'ingest', 'pdf.js')).href)).toThrow(/pdf-worker\.js.*missing/);
  });
});
