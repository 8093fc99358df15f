import { describe, expect, it } from 'vitest';
import { layOutPage, type TextPiece } from '../../src/ingest/pdf-layout.js';

/** Text at a place, 10 points high, half as wide as that a character. */
function piece(text: string, x: number, y: number, more: Partial<TextPiece> = {}): TextPiece {
  return { text, x, y, width: 5 * text.length, size: 10, angle: 0, spaced: false, ...more };
}

function lines(texts: readonly string[], x = 50, y = 100): TextPiece[] {
  return texts.map((text, i) => piece(text, x, y + 12 * i));
}

describe('lines', () => {
  it('pieces in any order', () => {
    const pieces = [piece('world', 80, 100), piece('line', 85, 112), piece('Hello', 50, 100), piece('second', 50, 112)];
    expect(layOutPage(pieces)).toBe('Hello world\nsecond line');
  });
  it('pieces that touch are one word, unless white space was painted', () => {
    expect(layOutPage([piece('stee', 50, 100), piece('ple', 70, 100)])).toBe('steeple');
    expect(layOutPage([piece('a', 50, 100), piece('b', 55, 100, { spaced: true })])).toBe('a b');
  });
  it('a superscript stays on its line', () => {
    expect(layOutPage([piece('alert,', 50, 100), piece('5', 80, 96, { size: 6, width: 3 }), piece('and', 90, 100)])).toBe('alert,5 and');
  });
  it('text painted twice for boldness stands once', () => {
    expect(layOutPage([piece('Bold', 50, 100), piece('Bold', 50.4, 100)])).toBe('Bold');
  });
  it('a wide space between lines sets paragraphs apart', () => {
    const text = layOutPage([...lines(['one', 'two', 'three']), ...lines(['four', 'five', 'six'], 50, 160)]);
    expect(text).toBe('one\ntwo\nthree\n\nfour\nfive\nsix');
  });
  it('text on its side comes after the upright text', () => {
    const turned = piece('margin', 20, 300, { angle: 270 });
    expect(layOutPage([turned, ...lines(['upright text', 'goes first'])])).toBe('upright text\ngoes first\n\nmargin');
  });
  it('no text', () => expect(layOutPage([])).toBe(''));
});

describe('hyphenation', () => {
  const laidOut = (...texts: string[]) => layOutPage(lines(texts));
  it('a broken word is mended, and the line ends after it', () => {
    expect(laidOut('the elimination of pre-', 'ventable disease, in', 'all groups')).toBe('the elimination of preventable\ndisease, in\nall groups');
  });
  it('with its comma', () => expect(laidOut('a question of perse-', 'verance, they say')).toBe('a question of perseverance,\nthey say'));
  it('over three lines', () => expect(laidOut('counter-', 'revolution-', 'aries')).toBe('counterrevolutionaries'));
  it('a hyphen that the page writes elsewhere stays', () => {
    expect(laidOut('an age-adjusted rate is', 'not age-', 'adjusted by us')).toBe('an age-adjusted rate is\nnot age-adjusted\nby us');
  });
  it('and so does that of a word with several', () => {
    expect(laidOut('the state-of-the-', 'art engine')).toBe('the state-of-the-art\nengine');
  });
  it('figures, dashes and capitals are left alone', () => {
    expect(laidOut('pages 12-', '14 of it')).toBe('pages 12-\n14 of it');
    expect(laidOut('he said -', 'nothing')).toBe('he said -\nnothing');
    expect(laidOut('among Non-', 'Hispanic men')).toBe('among Non-\nHispanic men');
  });
  it('a soft hyphen at the end', () => expect(laidOut('micro\u00ad', 'scope at hand')).toBe('microscope\nat hand'));
});

describe('columns and tables', () => {
  const left = ['The left column is read', 'from its top to its end', 'before the right one is', 'begun; that is how it is', 'meant by its typesetter.'];
  const right = ['The right column follows', 'and ends the page as the', 'reader expects it to end', 'although its lines stand', 'beside those of the left.'];
  const columns = [...lines(left, 50, 200), ...lines(right, 250, 200)];
  it('the left column before the right one, in any order of painting', () => {
    const text = [...left, ...right].join('\n');
    expect(layOutPage(columns)).toBe(text);
    expect(layOutPage([...columns].reverse())).toBe(text);
  });
  it('a heading above both comes first, a line below both last', () => {
    const heading = piece('A heading that runs over the whole measure of the page', 60, 150);
    const footer = piece('A line at the foot that runs over the whole measure', 60, 320);
    const text = layOutPage([footer, ...columns, heading]);
    expect(text.startsWith('A heading')).toBe(true);
    expect(text.endsWith('whole measure')).toBe(true);
  });
  it('rows of figures stay rows', () => {
    const rows = [
      ['Wheat', '1,200', '1,340', '1,410'],
      ['Barley', '310', '295', '330'],
      ['Rye', '87', '91', '102'],
    ];
    const pieces = rows.flatMap((row, i) => row.map((cell, j) => piece(cell, 50 + 80 * j, 100 + 12 * i)));
    expect(layOutPage(pieces)).toBe(rows.map((row) => row.join(' | ')).join('\n'));
  });
  it('a justified line of few words is none', () => {
    const words = ['peculiarly', 'circumstantial', 'observations'];
    const gap = 25;
    let x = 50;
    const loose = words.map((word) => {
      const placed = piece(word, x, 112);
      x += placed.width + gap;
      return placed;
    });
    const full = (y: number) => piece('A line of prose that fills the measure', 50, y, { width: x - gap - 50 });
    expect(layOutPage([full(100), ...loose, full(124)]).split('\n')[1]).toBe(words.join(' '));
    // The same words without prose around them, and so that they don't fill its measure.
    expect(layOutPage(loose)).toBe(words.join(' | '));
    expect(layOutPage([{ ...full(100), width: 400 }, ...loose])).toContain(words.join(' | '));
  });
  it('leaders become a gap', () => {
    expect(layOutPage([piece(`Preface ${'. '.repeat(30)}`, 50, 100), piece('9', 400, 100)])).toBe('Preface | 9');
  });
  it('marks of a list are no cells', () => {
    expect(layOutPage([piece('•', 50, 100), piece('first of all', 80, 100)])).toBe('• first of all');
  });
});

describe('pages that are no pages', () => {
  it('forty thousand pieces at one place, and all over', () => {
    const started = performance.now();
    layOutPage(Array.from({ length: 40_000 }, () => piece('a', 50, 100)));
    layOutPage(Array.from({ length: 40_000 }, (_, i) => piece(`w${i}`, (i * 7919) % 600, (i * 104_729) % 800)));
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
