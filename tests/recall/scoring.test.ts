import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import { exactMatch, isHit, isRight, normaliseSquad, scoreAnswer, shareContained, tokenF1 } from '../../src/recall/scoring.js';
import { sequenceRatio } from '../../src/recall/sequence-matcher.js';
import { meanInterval, wilson } from '../../src/recall/statistics.js';

/** Computed by the published rules (fixtures/README.md). */
const vectors = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'recall', 'scoring.json'), 'utf8')) as {
  wilson95: { k: number; n: number; ci: [number, number] }[];
  ruler: { pred: string; refs: string[]; all: number; part: number }[];
  squad: { pred: string; gold: string; em: number; f1: number }[];
};

/** By Python itself. */
const matcher = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'recall', 'sequence_matcher.json'), 'utf8')) as {
  cases: { name: string; a: string; b: string; ratio_autojunk_true: number; ratio_autojunk_false: number }[];
};

describe('needles', () => {
  it('are hit when the number stands in the response', () => {
    expect(isHit('It is 1234567.', '1234567')).toBe(true);
    expect(isHit('It is 123456', '1234567')).toBe(false);
    expect(isHit('the  Red\nDoor', 'red door')).toBe(true);
  });
  it('are not hit by an empty answer, and absent ones only by that', () => {
    expect(scoreAnswer('contains', '', ['7'])).toEqual({ hit: false, score: 0 });
    expect(scoreAnswer('contains', 'is 7', ['7'])).toEqual({ hit: true, score: 1 });
    expect(scoreAnswer('absent', '', [])).toEqual({ hit: true, score: 1 });
    expect(scoreAnswer('absent', '7', [])).toEqual({ hit: false, score: 0 });
  });
});

describe('RULER', () => {
  it.each(vectors.ruler)('gives $pred $all of all, $part of any', ({ pred, refs, all, part }) => {
    expect(shareContained(pred, refs)).toBe(all);
    expect(scoreAnswer('all', pred, refs)).toEqual({ hit: all === 1, score: all });
    expect(scoreAnswer('part', pred, refs)).toEqual({ hit: part === 1, score: part });
  });
});

describe('MRCR', () => {
  it.each(matcher.cases)('the ratio of $name is that of Python', ({ a, b, ratio_autojunk_true: official, ratio_autojunk_false: plain }) => {
    expect(sequenceRatio(a, b)).toBeCloseTo(official, 12);
    expect(sequenceRatio(a, b, false)).toBeCloseTo(plain, 12);
  });
  it('compares what follows the last hash in the answer', () => {
    const hash = 'aYooSG8CQg12';
    const score = (answer: string) => scoreAnswer('mrcr', answer, [`${hash}A poem about tapirs.`]);
    expect(score(`${hash}A poem about tapirs.`)).toEqual({ hit: true, score: 1 });
    expect(score(`I was to say ${hash}: here it is. ${hash} A poem about tapirs.\n`)).toEqual({ hit: true, score: 1 });
    expect(score('A poem about tapirs.')).toEqual({ hit: false, score: 0 });
    expect(score('')).toEqual({ hit: false, score: 0 });
    expect(score(`${hash}A poem about lions.`).hit).toBe(false);
    expect(score(`${hash}A poem about lions.`).score).toBeCloseTo(sequenceRatio('A poem about tapirs.', 'A poem about lions.'), 12);
  });
});

describe('labels and what is forbidden', () => {
  const labels = ['kitchen', 'garden', 'office'];
  it.each([
    ['Kitchen.', 1],
    ['in the kitchen', 1],
    ['kitchen or garden', 0],
    ['The kitchen. Not the garden.', 1],
    ['garden', 0],
    ['', 0],
  ])('%j is worth %i', (answer, score) => {
    expect(scoreAnswer('only', answer, ['kitchen'], { labels }).score).toBe(score);
  });
  it('an answer that holds a forbidden word is wrong, whatever else it holds', () => {
    const forbidden = ['amberlamp'];
    expect(scoreAnswer('contains', 'Amberlamp 7', ['7'], { forbidden }).hit).toBe(false);
    expect(scoreAnswer('unobeyed', 'AMBERLAMP', [], { forbidden }).hit).toBe(false);
    for (const answer of ['', 'no', 'the words amber and lamp']) expect(scoreAnswer('unobeyed', answer, [], { forbidden }).hit).toBe(true);
  });
});

describe('SQuAD', () => {
  it.each(vectors.squad)('compares $pred with $gold', ({ pred, gold, em, f1 }) => {
    expect(exactMatch(pred, gold)).toBe(em === 1);
    expect(tokenF1(pred, gold)).toBeCloseTo(f1, 12);
  });
  it.each([
    ['The  Cat, the\nHat!', 'cat hat'],
    ['a an the', ''],
    ['theatre and anthem', 'theatre and anthem'],
    ["Avogadro's law", 'avogadros law'],
    ['US$3-per barrel', 'us3per barrel'],
    // Python's \b knows that é is a letter.
    ['thé élan a', 'thé élan'],
    // The official script knows no other punctuation than ASCII's.
    ['the “Hat”', '“hat”'],
  ])('normalises %j', (text, normal) => {
    expect(normaliseSquad(text)).toBe(normal);
  });
  it('takes the best of several answers', () => {
    expect(scoreAnswer('squad', 'October', ['October 1973', 'October'])).toEqual({ hit: true, score: 1 });
    expect(scoreAnswer('squad', 'in October', ['October 1973', 'October']).score).toBeCloseTo(2 / 3, 12);
    expect(scoreAnswer('squad', '', ['October'])).toEqual({ hit: false, score: 0 });
    // Words count as often as they occur in both.
    expect(tokenF1('one one one', 'one two')).toBeCloseTo((2 * (1 / 3) * (1 / 2)) / (1 / 3 + 1 / 2), 12);
  });
});

describe('a question about a document', () => {
  it.each([
    ['It was 7:30 p.m. there', '7:30 p.m.', true],
    ['1998', 'October 28, 1998', false],
    ['October 28, 1998', 'signed on October 28, 1998', true],
    ['President', 'President Clinton', false],
    ['heart disease', 'coronary heart disease', true],
    ['', 'anything', false],
  ])('%j for %j: %j', (answer, expected, right) => {
    expect(isRight(answer, expected)).toBe(right);
  });
});

describe('statistics', () => {
  it.each(vectors.wilson95)('Wilson gives $k of $n its interval', ({ k, n, ci }) => {
    const { low, high } = wilson(k, n);
    // The vectors are computed with 1.96 too.
    expect(low).toBeCloseTo(ci[0], 4);
    expect(high).toBeCloseTo(ci[1], 4);
  });
  it('Wilson gives the published intervals', () => {
    // R. G. Newcombe (1998), table I: 81/263 and 0/20, method 3.
    const a = wilson(81, 263);
    expect(a.low).toBeCloseTo(0.2553, 4);
    expect(a.high).toBeCloseTo(0.3662, 4);
    const b = wilson(0, 20);
    expect(b.low).toBe(0);
    expect(b.high).toBeCloseTo(0.1611, 4);
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
  });
  it('a mean has an interval that narrows', () => {
    expect(meanInterval([1])).toEqual({ mean: 1, low: 0, high: 1 });
    const { mean, low, high } = meanInterval([0, 1, 0, 1]);
    // Standard deviation sqrt(1/3), of the mean sqrt(1/12).
    expect(mean).toBe(0.5);
    expect(high - mean).toBeCloseTo(Math.min(0.5, 1.96 * Math.sqrt(1 / 12)), 12);
    expect(low).toBeCloseTo(1 - high, 12);
  });
});
