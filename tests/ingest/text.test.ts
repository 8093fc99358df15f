import { describe, expect, it } from 'vitest';
import { ingest } from '../../src/ingest/ingest.js';
import type { Segment } from '../../src/ingest/segment.js';
import { decodeText, segmentChars, segmentText } from '../../src/ingest/text.js';
import { file, fixture, refusal, scratch } from './support.js';

const dir = scratch();

function joined(segments: readonly Segment[]): string {
  return segments.map(({ text }) => text).join('');
}

/** The line, by a segment's word, on which `what` begins. */
function lineOf(segments: readonly Segment[], what: string): number | undefined {
  for (const { text, line } of segments) {
    const at = text.indexOf(what);
    if (at >= 0) {
      return line! + text.slice(0, at).split('\n').length - 1;
    }
  }
  return undefined;
}

/** Prose in paragraphs of 1 to 9 lines whose every line names its own number, with blank lines between. */
function numberedProse(lines: number): string {
  const all: string[] = [];
  for (let paragraph = 0; all.length < lines; paragraph++) {
    for (let i = 0; i <= (paragraph * 5) % 9; i++) {
      all.push(`Line L${all.length + 1}. ${'words and more of them '.repeat((all.length * 7) % 6)}`);
    }
    for (let i = 0; i <= paragraph % 3; i++) {
      all.push('');
    }
  }
  return `${all.slice(0, lines).join('\n').trimEnd()}\n`;
}

describe('decoding', () => {
  const decode = (bytes: Uint8Array, encoding: Parameters<typeof decodeText>[1] = 'utf-8') => decodeText(bytes, encoding);
  it('UTF-8, its byte order mark left out', () => {
    expect(decode(Buffer.from('\ufeffnaïve — 漢字 🙂\n'))).toEqual({ text: 'naïve — 漢字 🙂\n', warnings: [] });
  });
  it('UTF-16, said aloud where it was guessed', () => {
    const little = Buffer.from('\ufeffnaïve\n', 'utf16le');
    expect(decode(little, 'utf-16le')).toEqual({ text: 'naïve\n', warnings: [] });
    expect(decode(Buffer.from(little).swap16(), 'utf-16be')).toEqual({ text: 'naïve\n', warnings: [] });
    expect(decode(little.subarray(2), 'utf-16le').warnings).toEqual(['it has no byte order mark and was read as UTF-16LE']);
  });
  it('Latin-1 as Windows reads it', () => {
    const { text, warnings } = decode(Buffer.from([0x80, 0x20, 0x93, 0x47, 0xf6, 0xdf, 0x94, 0x20, 0x9f, 0x85]), 'windows-1252');
    expect(text).toBe('€ “Göß” Ÿ…');
    expect(warnings).toHaveLength(1);
  });
  it('line ends of Windows and of old Macs', () => {
    expect(decode(Buffer.from('a\r\nb\rc\nd\r\n')).text).toBe('a\nb\nc\nd\n');
  });
  it('broken characters and NULs are counted', () => {
    expect(decode(Buffer.from([0x61, 0xc3, 0x0a, 0x62, 0xff])).warnings).toEqual(['it has 2 characters that could not be decoded as UTF-8']);
    expect(decode(Buffer.from('a\0b\n'))).toEqual({ text: 'ab\n', warnings: ['it has a NUL character, which was left out'] });
    expect(decode(Buffer.from('\0a\0')).warnings).toEqual(['it has 2 NUL characters, which were left out']);
  });
});

describe('segments', () => {
  it('concatenated are the text, and every line keeps its number', () => {
    const text = numberedProse(700);
    const segments = segmentText('a.txt', 3, text);
    expect(joined(segments)).toBe(text);
    expect(segments.length).toBeGreaterThan(10);
    for (let n = 1; n <= 700; n++) {
      if (text.includes(`Line L${n}.`)) {
        expect(lineOf(segments, `Line L${n}.`)).toBe(n);
      }
    }
    expect(segments.every(({ source, text: t, page }) => source === 3 && t.trim() !== '' && page === undefined)).toBe(true);
  });
  it('are no longer than they may be, blank lines at their end aside, and seldom short', () => {
    const segments = segmentText('a.txt', 0, numberedProse(700));
    expect(segments.every(({ text }) => text.trimEnd().length <= segmentChars)).toBe(true);
    const mean = joined(segments).length / segments.length;
    expect(mean).toBeGreaterThan(segmentChars / 2);
  });
  it('end with whole lines', () => {
    const segments = segmentText('a.txt', 0, numberedProse(300));
    expect(segments.every(({ text }) => text.endsWith('\n'))).toBe(true);
  });
  it('any size gives the same text', () => {
    const text = numberedProse(120);
    for (const most of [1, 2, 7, 40, 100, 333, 5000]) {
      expect(joined(segmentText('a.txt', 0, text, most))).toBe(text);
    }
  });
  it('a line longer than a segment is cut between words, each piece with its number', () => {
    const long = 'word '.repeat(2000).trimEnd();
    const segments = segmentText('a.txt', 0, `first\n${long}\n\nlast\n`);
    expect(joined(segments)).toBe(`first\n${long}\n\nlast\n`);
    const pieces = segments.filter(({ line }) => line === 2);
    expect(pieces.length).toBeGreaterThan(5);
    expect(pieces.slice(0, -1).every(({ text }) => /\bword $/.test(text) && text.length <= segmentChars)).toBe(true);
    expect(segments.at(-1)).toMatchObject({ line: 4, text: 'last\n' });
  });
  it('no character outside the first plane is parted', () => {
    const text = `x${'🙂'.repeat(2000)}`;
    const segments = segmentText('a.txt', 0, text);
    expect(joined(segments)).toBe(`${text}\n`);
    expect(segments.every((s) => !/\p{Surrogate}/u.test(s.text))).toBe(true);
  });
  it('blank lines at the beginning count as lines', () => {
    const segments = segmentText('a.txt', 0, '\n \n\n  indented\nnext\n\n\n');
    expect(joined(segments)).toBe('  indented\nnext\n');
    expect(segments[0]!.line).toBe(4);
  });
  it('a line as long as a segment stays one segment with its end', () => {
    const line = 'x'.repeat(segmentChars);
    expect(segmentText('a.txt', 0, `${line}\nb\n`).map(({ text }) => text)).toEqual([`${line}\n`, 'b\n']);
  });
  it('a text without a line end gets one, and one of nothing but white space', async () => {
    expect(segmentText('a.txt', 0, 'x')).toEqual([{ source: 0, text: 'x\n', line: 1 }]);
    expect(await refusal(ingest([file(dir, 'blank.txt', ' \n\t\n\n')]), 'blank.txt')).toMatch(/white space/);
  });
});

describe('text files', () => {
  it('the handbook and the notes have their facts on their lines', async () => {
    const [handbook, notes] = await ingest([fixture('handbook.txt'), fixture('notes.md')]);
    expect(handbook!.source.kind).toBe('text');
    expect(notes!.source.kind).toBe('markdown');
    expect(lineOf(handbook!.segments, 'at 6.40 in the morning')).toBe(5);
    expect(lineOf(handbook!.segments, '7 crowns')).toBe(11);
    expect(lineOf(handbook!.segments, 'Mr Ferran')).toBe(17);
    expect(lineOf(handbook!.segments, 'channel 16')).toBe(23);
    expect(lineOf(notes!.segments, '12 kW')).toBe(8);
    expect(lineOf(notes!.segments, '2,450')).toBe(16);
    expect(lineOf(notes!.segments, '21 August')).toBe(21);
    expect(notes!.segments.every(({ source }) => source === 1)).toBe(true);
  });
  it('a source named twice is read once and stands twice', async () => {
    const [a, b, c] = await ingest([fixture('notes.md'), fixture('handbook.txt'), fixture('notes.md')]);
    expect(c!.source).toBe(a!.source);
    expect([a, b, c].map((s) => s!.segments[0]!.source)).toEqual([0, 1, 2]);
  });
  it('hash and size are those of the file', async () => {
    const [{ source }] = (await ingest([file(dir, 'abc.txt', 'abc')])) as [Awaited<ReturnType<typeof ingest>>[number]];
    expect(source).toMatchObject({ bytes: 3, sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad' });
  });
  it('one beyond the limit is refused', async () => {
    const big = file(dir, 'big.txt', 'word '.repeat(1000));
    expect(await refusal(ingest([big], { limits: { textBytes: 4096 } }), 'big.txt')).toMatch(/4 KiB.*split/);
    expect(await refusal(ingest([big], { limits: { fileBytes: 4096 } }), 'big.txt')).toMatch(/4 KiB.*split/);
  });
  it('--pages without any PDF is a mistake, beside one a warning', async () => {
    const pages = [{ from: 1, to: 1 }];
    expect(await refusal(ingest([fixture('notes.md')], { pages }), 'notes.md', 2)).toMatch(/--pages/);
    const [notes] = await ingest([fixture('notes.md'), fixture('media', 'unstructured_fake-memo.pdf')], { pages });
    expect(notes!.warnings).toHaveLength(1);
  });
});
