import { describe, expect, it } from 'vitest';
import { cite } from '../../src/answer/citations.js';
import { fold, occurrences } from '../../src/answer/fold.js';
import { sentenceAround } from '../../src/answer/sentences.js';
import type { IngestedSource } from '../../src/ingest/segment.js';

function pdf(...pages: string[]): IngestedSource {
  return {
    source: { path: 'report.pdf', kind: 'pdf', bytes: 1, sha256: '00', pages: pages.length },
    segments: pages.map((text, i) => ({ source: 0, text, page: i + 1 })),
    warnings: [],
  };
}

describe('fold', () => {
  it('maps every folded character back to where it came from', () => {
    const original = '  The \u201cfi\uFB01n\u201d\n\n  co\u00adst ';
    const folded = fold(original);
    expect(folded.text).toBe('the "fifin" cost');
    expect(folded.origin.length).toBe(folded.text.length + 1);
    for (let i = 0; i < folded.text.length; i++) {
      const unit = original[folded.origin[i]!]!;
      if (/[a-z]/iu.test(unit)) expect(unit.toLowerCase()).toBe(folded.text[i]);
    }
    expect(original[folded.origin[folded.text.indexOf('cost')]!]).toBe('c');
  });

  it('is empty for white space', () => {
    expect(fold(' \n\t').text).toBe('');
    expect(fold('').text).toBe('');
  });
});

describe('occurrences', () => {
  it('finds whole words and numbers only', () => {
    expect(occurrences('in 1973 the 73 planes and 73,000 more, 1,073 or 73.', '73')).toEqual([12, 48]);
    expect(occurrences('a cat, concatenated; cat', 'cat')).toEqual([2, 21]);
    expect(occurrences('$1,300 and 300 and 1,300', '300')).toEqual([11]);
    expect(occurrences('5.7% of 57%', '5.7%')).toEqual([0]);
    expect(occurrences('anything', '')).toEqual([]);
  });
});

describe('sentenceAround', () => {
  const at = (text: string, word: string): string => {
    const from = text.indexOf(word);
    return text.slice(...sentenceAround(text, from, from + word.length));
  };
  it('stops at sentence ends, not at titles, initials and decimal points', () => {
    const text = 'It rained. Dr. Mira J. Voss paid 3.50 dollars to St. Anne. She left!';
    expect(at(text, 'paid')).toBe('Dr. Mira J. Voss paid 3.50 dollars to St. Anne.');
    expect(at(text, 'rained')).toBe('It rained.');
    expect(at(text, 'left')).toBe('She left!');
  });
  it('stays near in text without any sentence end', () => {
    const text = `${'word '.repeat(500)}needle ${'word '.repeat(500)}`;
    const quote = at(text, 'needle');
    expect(quote).toContain('needle');
    expect(quote.length).toBeLessThan(400);
  });
});

describe('cite', () => {
  it('prefers the place that talks about the question', () => {
    const source = pdf(
      'The fleet lost 4418 barrels. Nobody knew why.',
      'Much prose here. The access code of the\nHarrow Lane archive is 4418. More prose.',
      'There were 4418 soldiers at the gate.',
    );
    const [best, ...rest] = cite('What is the access code for the Harrow Lane archive?', '4418', [source]);
    expect(best).toEqual({ source: 'report.pdf', page: 2, quote: 'The access code of the Harrow Lane archive is 4418.', verified: true });
    expect(rest).toEqual([]);
  });

  it('cites every place that says it equally well', () => {
    const source = pdf('The keeper is Ines Okafor.', 'Nothing.', 'The keeper is Ines Okafor!');
    expect(cite('Who is the keeper?', 'ines okafor', [source]).map((citation) => citation.page)).toEqual([1, 3]);
  });

  it('cites the same sentence of two sources, and of two lines, each by its own place', () => {
    const text = (source: number, lines: string): IngestedSource => ({
      source: { path: `${source}.txt`, kind: 'text', bytes: 1, sha256: '00' },
      segments: [{ source, text: lines, line: 1 }],
      warnings: [],
    });
    const line = 'The keeper is Ines Okafor.\n';
    const sources = [text(0, line), text(1, `${line}\n${line}`)];
    expect(cite('Who is the keeper?', 'Ines Okafor', sources).map(({ source, lines }) => [source, lines])).toEqual([
      ['0.txt', [1, 1]],
      ['1.txt', [1, 1]],
      ['1.txt', [3, 3]],
    ]);
    // Twice in one sentence is one place.
    expect(cite('Who is the keeper?', 'Okafor', [text(0, 'Okafor, keeper, is Ines Okafor.\n')])).toHaveLength(1);
  });

  it('finds what begins on one page and ends on the next, and cites the first', () => {
    const source = pdf('Nothing here.\n', 'Much prose. The keeper of the light is\n', 'Ines Okafor of Dunmore. More prose.\n');
    const [citation, ...rest] = cite('Who keeps the light?', 'the keeper of the light is Ines Okafor of Dunmore', [source]);
    expect(citation).toEqual({ source: 'report.pdf', page: 2, quote: 'The keeper of the light is Ines Okafor of Dunmore.', verified: true });
    expect(rest).toEqual([]);
    // Pages that are not neighbours do not join.
    const apart = { ...source, segments: source.segments.map((segment, i) => ({ ...segment, page: 3 * i + 1 })) };
    expect(cite('Who keeps the light?', 'the keeper of the light is Ines Okafor of Dunmore', [apart])[0]?.verified).toBe(false);
  });

  it('gives the most related place, unverified, for an answer that stands nowhere', () => {
    const source = pdf('Nothing of interest.', 'The lighthouse at Cape Wrath was lit in 1828.');
    const [citation] = cite('When was the lighthouse lit?', '1829', [source]);
    expect(citation).toMatchObject({ page: 2, verified: false });
  });

  it('gives lines where the source has lines', () => {
    const source: IngestedSource = {
      source: { path: 'a.txt', kind: 'text', bytes: 1, sha256: '00' },
      segments: [
        { source: 0, text: 'One.\nTwo.', line: 1 },
        { source: 0, text: 'Three.\nThe harbour fee\nis nine crowns.\nFour.', line: 4 },
      ],
      warnings: [],
    };
    expect(cite('How much is the harbour fee?', 'nine crowns', [source])[0]).toEqual({
      source: 'a.txt',
      lines: [5, 6],
      quote: 'The harbour fee is nine crowns.',
      verified: true,
    });
  });

  it('has nothing to cite in unrelated sources', () => {
    expect(cite('Who?', 'zebra', [pdf('One two three.')])).toEqual([]);
  });
});
