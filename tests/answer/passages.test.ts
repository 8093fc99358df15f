import { describe, expect, it } from 'vitest';
import { cite } from '../../src/answer/citations.js';
import { relatedPassages } from '../../src/answer/passages.js';
import { chooseReading, type Reading } from '../../src/answer/second-look.js';
import type { IngestedSource } from '../../src/ingest/segment.js';

const filler = 'It rained all day and nobody went out, so that the house was full of people. ';

function text(path: string, source: number, ...segments: string[]): IngestedSource {
  let line = 1;
  const list = segments.map((segment) => {
    const entry = { source, text: segment, line };
    line += segment.split('\n').length - 1;
    return entry;
  });
  return { source: { path, kind: 'text', bytes: 1, sha256: '' }, segments: list, warnings: [] };
}

describe('relatedPassages', () => {
  const fact = 'The keeper of the Harrow Lane archive is Olga Reiss.\n';
  const sources = [
    text('a.txt', 0, `${filler.repeat(60)}\n`, `${filler.repeat(30)}\nAn archive. ${fact}${filler.repeat(30)}\n`),
    text('b.txt', 1, `${filler.repeat(20)}The archive of another lane burned down.\n${filler.repeat(20)}\n`),
  ];
  const passages = relatedPassages('Who is the keeper of the Harrow Lane archive?', sources, { characters: [600], count: 3 });

  it('puts the passage with the rare words first, whole', () => {
    const [first] = passages;
    expect(first!.source).toBe(0);
    expect(first!.segments.map((segment) => segment.text).join('')).toContain(fact.trim());
    expect(first!.relevance).toBeCloseTo(1, 5);
    expect(passages.some((passage) => passage.source === 1)).toBe(true);
    for (let i = 1; i < passages.length; i++) expect(passages[i]!.relevance).toBeLessThanOrEqual(passages[i - 1]!.relevance);
  });

  it('keeps line numbers and length', () => {
    const [first] = passages;
    const joined = first!.segments.map((segment) => segment.text).join('');
    expect(joined.length).toBeLessThanOrEqual(600);
    const piece = first!.segments.find((segment) => segment.text.includes('Olga'))!;
    const whole = sources[0]!.segments[1]!;
    const before = piece.text.slice(0, piece.text.indexOf('Olga')).split('\n').length - 1;
    const expected = whole.line! + whole.text.slice(0, whole.text.indexOf('Olga')).split('\n').length - 1;
    expect(piece.line! + before).toBe(expected);
  });

  it('does not offer the same place twice, and nothing where nothing is shared', () => {
    for (const [i, a] of passages.entries()) {
      for (const b of passages.slice(i + 1)) if (a.source === b.source) expect(Math.min(a.to, b.to) - Math.max(a.from, b.from)).toBeLessThanOrEqual(300);
    }
    expect(relatedPassages('xyzzy plugh?', sources, { characters: [600], count: 3 })).toEqual([]);
    expect(relatedPassages('who is it', sources, { characters: [600], count: 3 })).toEqual([]);
  });

  it('trusts no passage much where the question has a name that no source knows', () => {
    const relevance = (question: string): number => relatedPassages(question, sources, { characters: [600], count: 1 })[0]!.relevance;
    const known = relevance('Who is the keeper of the Harrow Lane archive?');
    expect(relevance("Who is Olga's keeper of the Harrow Lane archive?")).toBeCloseTo(known, 5);
    expect(relevance('Who is the keeper of the Harrow Lane archive in Lima?')).toBeLessThan(known * 0.3);
    expect(relevance('Lima: who is the keeper of the Harrow Lane archive?')).toBeGreaterThan(known * 0.5);
    expect(relevance('Who is the keeper of the Hárrow Lane archive?')).toBeGreaterThan(known * 0.5);
  });

  it('cites an answer where it was read', () => {
    const twice = [text('c.txt', 0, `Olga Reiss came in.\n${filler.repeat(20)}\nOlga Reiss went out.\n`)];
    const at = twice[0]!.segments[0]!.text.lastIndexOf('Olga');
    const citations = cite('Who?', 'Olga Reiss', twice, { source: 0, from: at - 10, to: at + 20 });
    expect(citations.map((citation) => citation.quote)).toEqual(['Olga Reiss went out.']);
    expect(cite('Who?', 'Olga Reiss', twice)).toHaveLength(2);
  });
});

describe('chooseReading', () => {
  const reading = (answer: string, confidence: number, relevance: number | null): Reading => ({
    parsed: { found: answer !== '', answer, needle: answer },
    confidence,
    tokens: 3,
    finish: 'stop',
    passage: relevance === null ? null : { source: 0, from: 0, to: 10, segments: [], relevance },
  });
  it('weighs how sure a reading is with how much of the question its passage has', () => {
    const looks = [reading('right', 0.7, 1), reading('elsewhere', 0.95, 0.5), reading('', 0.99, 0.8)];
    expect(chooseReading('Who did it?', reading('junk', 0.9, null), looks).parsed.answer).toBe('right');
  });
  it('keeps the first reading where there was no second look', () => {
    expect(chooseReading('Who did it?', reading('first', 0.1, null), []).parsed.answer).toBe('first');
  });
  it('does not take the question for its answer', () => {
    const looks = [reading('the reserve copy', 0.9, 1), reading('K-408', 0.5, 1)];
    expect(chooseReading('Where is the reserve copy?', reading('', 0.9, null), looks).parsed.answer).toBe('K-408');
  });
  it('does not answer out of unrelated or hesitant readings, nor out of the reading of everything alone', () => {
    const looks = [reading('guess', 0.05, 0.4), reading('', 0.9, 0.9)];
    expect(chooseReading('Who did it?', reading('sure', 0.9, null), looks).parsed.found).toBe(false);
  });
  it('counts how many readings say the same', () => {
    const looks = [reading('Reiss', 0.6, 0.5), reading('The baker', 0.4, 0.5), reading('the baker', 0.3, 0.4)];
    expect(chooseReading('Who did it?', reading('', 0.9, null), looks).parsed.answer).toBe('The baker');
    // The reading of everything has a voice.
    expect(chooseReading('Who did it?', reading('Reiss', 0.2, null), looks).parsed.answer).toBe('Reiss');
    const faint = [reading('Reiss', 0.5, 0.2), reading('Reiss', 0.4, 0.2), reading('Reiss', 0.3, 0.2)];
    expect(chooseReading('Who did it?', reading('', 0.9, null), faint.slice(0, 1)).parsed.found).toBe(false);
    expect(chooseReading('Who did it?', reading('', 0.9, null), faint).parsed.answer).toBe('Reiss');
  });
});
