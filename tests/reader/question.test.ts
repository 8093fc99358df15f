/** A second search on a corpus of four leaves: where it starts, what it still asks, and what it finds that the first did not. */
import { describe, expect, it } from 'vitest';
import { Bm25, buildIndex } from '../../src/reader/bm25.js';
import { followLead, leadOf, namesOf, weigh, wordsOf } from '../../src/reader/question.js';

const leaves = [
  'It rained. That winter Agnes Baxter took lodgings at Bexhall. Nothing more is known.',
  'For many years Bexhall has been in the care of Otto Quayle.',
  'That winter Agnes Redfern took lodgings at Zennor.',
  'The care of sheep is an old trade, of which little is said.',
];
const index = new Bm25(buildIndex(leaves));
const question = 'In whose care is the town where Agnes Baxter took lodgings?';
const weights = weigh(wordsOf(question), index);
const names = namesOf(question);

it('the index knows where a word stands', () => {
  for (const [leaf, text] of leaves.entries()) for (const word of ['baxter', 'bexhall', 'care', 'agne', 'never']) expect(index.stands(word, leaf), `${word} in ${leaf}`).toBe(wordsOf(text).has(word));
});

describe('a lead', () => {
  it('is the sentence with the question\'s names, and names something new', () => {
    expect([...names].sort()).toEqual([...wordsOf('Agnes Baxter')].sort());
    const lead = leadOf(leaves.slice(0, 3).join(' '), weights, names, index);
    expect(lead?.sentence).toBe('That winter Agnes Baxter took lodgings at Bexhall.');
    expect(lead?.words).toEqual([...wordsOf('Bexhall')]);
  });

  it('is not there where nothing new is named', () => {
    expect(leadOf('Agnes Baxter took lodgings.', weights, names, index)).toBeNull();
    expect(leadOf('', weights, names, index)).toBeNull();
  });

  it('is followed by what it leaves open: its names, and the words that it does not have', () => {
    const lead = leadOf(leaves[0]!, weights, names, index)!;
    const next = followLead(lead, weights, index);
    expect([...next.keys()].sort()).toEqual([...wordsOf('care town Bexhall')].sort());
    expect(index.search(weights.keys(), 1)[0]!.leaf).toBe(0);
    expect(index.search(next.keys(), 1)[0]!.leaf).toBe(1);
  });
});
