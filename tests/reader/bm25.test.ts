/** Against BM25 written down from its formula, over maps and without an index. */
import { describe, expect, it } from 'vitest';
import { createRandom, randomBelow } from '../../src/random.js';
import { Bm25, buildIndex } from '../../src/reader/bm25.js';

const WORDS = 'lantern harbour granite meadow thistle copper velvet canyon orchard falcon'.split(' ');

function scoreByFormula(documents: readonly string[][], terms: readonly string[], document: number): number {
  const average = documents.reduce((sum, one) => sum + one.length, 0) / documents.length;
  return terms.reduce((sum, term) => {
    const having = documents.filter((one) => one.includes(term)).length;
    const times = documents[document]!.filter((word) => word === term).length;
    const rareness = Math.log(1 + (documents.length - having + 0.5) / (having + 0.5));
    return sum + (rareness * times * 2.2) / (times + 1.2 * (0.25 + (0.75 * documents[document]!.length) / average));
  }, 0);
}

describe('BM25', () => {
  it('gives the scores of the formula, best first', () => {
    const random = createRandom(3);
    for (let round = 0; round < 20; round++) {
      const documents = Array.from({ length: 1 + randomBelow(30, random) }, () => Array.from({ length: randomBelow(40, random) }, () => WORDS[Math.floor(WORDS.length * random() ** 2)]!));
      const search = new Bm25(buildIndex(documents.map((words) => words.join(' '))));
      // As the index stems them: none of these ends in what a stem drops, but "lantern" and its like stay whole.
      const terms = ['lantern', 'canyon', 'falcon'];
      const hits = search.search(terms, 1000);
      const expected = documents.map((_, leaf) => ({ leaf, score: scoreByFormula(documents, terms, leaf) })).filter(({ score }) => score > 0);
      expected.sort((a, b) => b.score - a.score || a.leaf - b.leaf);
      expect(hits.map(({ leaf }) => leaf)).toEqual(expected.map(({ leaf }) => leaf));
      for (const [i, { score }] of hits.entries()) expect(score).toBeCloseTo(expected[i]!.score, 10);
      expect(search.search(terms, 3)).toEqual(hits.slice(0, 3));
    }
  });

  it('finds words as they are written elsewhere: capitals, plurals, curly quotes, ligatures', () => {
    const search = new Bm25(buildIndex(['The Keeper\u2019s \ufb01les.', 'Nothing here.', 'two keepers filing']));
    expect(new Set(search.search(['keeper'], 9).map(({ leaf }) => leaf))).toEqual(new Set([0, 2]));
    expect(search.leavesWith('fil')).toBe(2);
  });

  it('counts a word 255 times at most, and leaves out what is no word', () => {
    const index = buildIndex([`${'falcon '.repeat(300)}${'x'.repeat(65)}`]);
    expect([...index.counts]).toEqual([255]);
    expect(index.terms).toEqual(['falcon']);
    expect(index.lengths[0]).toBe(300);
  });

  it('searches nothing without failing', () => {
    expect(new Bm25(buildIndex([])).search(['falcon'], 5)).toEqual([]);
    expect(new Bm25(buildIndex(['', 'the of'])).search([], 5)).toEqual([]);
    expect(new Bm25(buildIndex(['falcon'])).search(['unknown'], 5)).toEqual([]);
  });
});
