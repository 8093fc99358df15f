import { describe, expect, it } from 'vitest';
import type { IngestedSource, Segment } from '../../src/ingest/segment.js';
import { segmentText } from '../../src/ingest/text.js';
import { createRandom, randomBelow } from '../../src/random.js';
import { cutLeaves, LeafTexts } from '../../src/reader/leaves.js';

function source(segments: readonly Segment[]): IngestedSource {
  return { source: { path: 'x', kind: 'text', bytes: 0, sha256: '' }, segments, warnings: [] };
}

const random = createRandom(11);
const word = (): string => 'abcdefghij'.slice(0, 1 + randomBelow(9, random));
function prose(words: number): string {
  return Array.from({ length: words }, () => word() + [' ', ' ', ' ', '. ', '\n', '\n\n'][randomBelow(6, random)]!).join('');
}

describe('leaves', () => {
  it('cover every character of every source once, in order, and are not longer than asked for', () => {
    for (const most of [40, 97, 1000]) {
      const sources = [source(segmentText('a', 0, prose(900))), source(Array.from({ length: 30 }, (_, i) => ({ source: 1, text: prose(i), page: i + 1 }))), source([])];
      const texts = new LeafTexts(sources, cutLeaves(sources, most));
      for (const [number, { segments }] of sources.entries()) {
        const own = texts.leaves.flatMap((leaf, i) => (leaf.source === number ? [i] : []));
        expect(own.map((i) => texts.text(i)).join('')).toBe(segments.map(({ text }) => text).join(''));
        for (const i of own) expect(texts.text(i).length).toBeLessThanOrEqual(most);
      }
    }
  });

  it('share no page, and keep page, line and time', () => {
    const pages = [1, 2, 3].map((page) => ({ source: 0, page, text: `${prose(5)}page ${page}.\n` }));
    const text = segmentText('b', 1, Array.from({ length: 400 }, (_, i) => `line ${i + 1} of the text`).join('\n'));
    const speech = Array.from({ length: 50 }, (_, i) => ({ source: 2, text: `said at ${i}. `, time: [i, i + 1] as const }));
    const sources = [source(pages), source(text), source(speech)];
    const texts = new LeafTexts(sources, cutLeaves(sources, 500));
    for (const { source: number, from, to } of texts.leaves) {
      const segments = texts.segments(number, from, to);
      if (number === 0) expect(segments).toHaveLength(1);
      for (const segment of segments) {
        if (number === 0) expect(segment.text).toContain(`page ${segment.page}.`);
        if (number === 1 && segment.text.startsWith('line')) expect(segment.text).toMatch(new RegExp(`^line ${segment.line} `, 'u'));
        if (number === 2) expect(segment.text).toContain(`said at ${segment.time![0]}.`);
      }
    }
  });

  it('are text alone where a page is shown as an image too', () => {
    const image = { width: 1, height: 1, data: new Uint8Array(3) };
    const sources = [source([{ source: 0, page: 1, text: 'A page.\n', image }, { source: 0, page: 2, text: '', image }])];
    const texts = new LeafTexts(sources, cutLeaves(sources));
    expect(texts.leaves).toEqual([{ source: 0, from: 0, to: 8 }]);
    expect(texts.segments(0, 0, 8)).toEqual([{ source: 0, page: 1, text: 'A page.\n' }]);
  });

  it('cut between paragraphs, else sentences, else words, and never a character', () => {
    const first = (text: string): string => {
      const sources = [source([{ source: 0, text }])];
      return new LeafTexts(sources, cutLeaves(sources, 20)).text(0);
    };
    expect(first('one two three\n\nfour five. six seven')).toBe('one two three\n\n');
    expect(first('one two three. four five six seven')).toBe('one two three. ');
    expect(first('one two three four five six')).toBe('one two three four ');
    expect(first(`${'x'.repeat(19)}\u{1f600}${'x'.repeat(30)}`)).toBe('x'.repeat(19));
  });
});
