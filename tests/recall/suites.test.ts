/** What the suites make, seen as data: no model is asked. Tokens are words here. */
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { fixtureSources, openSuites, packageHaystacks, suiteNames, type SuiteName } from '../../src/recall/suites.js';
import { MRCR_HASH } from '../../src/recall/scoring.js';
import { loadSquad, squadSuite } from '../../src/recall/squad.js';
import type { Suite, Trial } from '../../src/recall/trial.js';
import { countWords as count, wordRequest } from './stand-in.js';

const suites = new Map<SuiteName, Suite>();

beforeAll(async () => {
  const opened = await openSuites(suiteNames, fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), count);
  for (const [i, name] of suiteNames.entries()) suites.set(name, opened[i]!);
});

async function trialsOf(suite: Suite, tokens: number, questions: number, seed = 1): Promise<Trial[]> {
  const trials: Trial[] = [];
  for await (const trial of suite.make(wordRequest(tokens, questions, seed))) trials.push(trial);
  return trials;
}

const make = (name: SuiteName, tokens: number, questions: number, seed = 1): Promise<Trial[]> => trialsOf(suites.get(name)!, tokens, questions, seed);
const textOf = ({ pieces }: Trial): string => pieces.join('');
const occurrencesOf = (text: string, part: string): number => text.split(part).length - 1;

/** The piece that holds the text, and the share of the document's words before it, in %. */
async function depthOf(trial: Trial, text: string): Promise<number> {
  const at = trial.pieces.findIndex((piece) => piece.includes(text));
  expect(at).toBeGreaterThanOrEqual(0);
  const before = await count(trial.pieces.slice(0, at).join(''));
  const rest = (await count(textOf(trial))) - (await count(trial.pieces[at]!));
  return (100 * before) / rest;
}

/** Documents made of larger things than words may be shorter. */
const LOOSE: Partial<Record<SuiteName, number>> = { ruler: 0.9, mrcr: 0.94, babilong: 0.97, pdf: 0.9 };

describe.each(suiteNames)('suite %s', (name) => {
  it('is named so, and says what it asks', () => {
    expect(suites.get(name)!.name).toBe(name);
    expect(suites.get(name)!.about.length).toBeGreaterThan(40);
  });

  it('makes as many questions as asked for, in documents of the length asked for', async () => {
    for (const [tokens, questions] of name === 'pdf' ? ([[300, 2]] as const) : ([[2000, 1], [3000, 25]] as const)) {
      const trials = await make(name, tokens, questions);
      expect(trials.flatMap((trial) => trial.questions)).toHaveLength(questions);
      for (const trial of trials) {
        const length = suites.get(name)!.unit === 'seconds' ? trial.pieces.length : await count(textOf(trial));
        // The runner keeps 1 % back, for sentences that take more in their place than alone, and for the cut at the end.
        expect(length).toBeLessThanOrEqual(1.01 * tokens);
        // Some stop at a whole sentence, piece or list.
        expect(length).toBeGreaterThanOrEqual((LOOSE[name] ?? 0.97) * tokens);
      }
    }
  });

  it('makes the same again for a seed, and only for that', async () => {
    expect(await make(name, 1500, 12, 4)).toEqual(await make(name, 1500, 12, 4));
    expect(await make(name, 1500, 12, 5)).not.toEqual(await make(name, 1500, 12, 4));
  });

  it('has every answer in the document, and no slot left open', async () => {
    for (const trial of await make(name, 1500, 24)) {
      const text = textOf(trial);
      for (const { question, expected, scoring } of trial.questions) {
        expect(question).not.toMatch(/[{}]|undefined/u);
        expect(expected.length === 0).toBe(scoring === 'absent' || scoring === 'unobeyed');
        // "Yes" and "no" are about what a document says.
        for (const one of expected) if (!/^(?:yes|no)$/u.test(one)) expect(text).toContain(scoring === 'mrcr' ? one.slice(MRCR_HASH) : one);
      }
    }
  });
});

describe('gemini', () => {
  it('stands alone, once, at the depth it is asked at', async () => {
    const trials = await make('gemini', 4000, 11);
    expect(trials.map(({ questions }) => questions[0]!.depthPercent)).toEqual([100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0]);
    for (const trial of trials) {
      const { question, expected, depthPercent } = trial.questions[0]!;
      const city = /^What is the special magic (.+) number\?$/u.exec(question)![1]!;
      expect(expected[0]).toMatch(/^[1-9]\d{6}$/u);
      expect(occurrencesOf(textOf(trial), `The special magic ${city} number is: ${expected[0]!}`)).toBe(1);
      expect(occurrencesOf(textOf(trial), expected[0]!)).toBe(1);
      expect(occurrencesOf(textOf(trial), 'special magic')).toBe(1);
      // A sentence of Emerson's is at most a few per cent of this.
      expect(Math.abs((await depthOf(trial, expected[0]!)) - depthPercent!)).toBeLessThan(4);
    }
  });
  it('comes in several where reading for each takes too long', async () => {
    const trials = await make('gemini', 70_000, 15);
    expect(trials.map(({ questions }) => questions.length)).toEqual([11, 4]);
    const [trial] = trials;
    expect(occurrencesOf(textOf(trial!), 'The special magic')).toBe(11);
    expect(new Set(trial!.questions.map(({ question }) => question)).size).toBe(11);
    for (const { expected, depthPercent } of trial!.questions) expect(Math.abs((await depthOf(trial!, expected[0]!)) - depthPercent!)).toBeLessThan(1);
  });
});

describe('multi', () => {
  it('hides a hundred, also where fewer are asked for', async () => {
    const [trial] = await make('multi', 3000, 7);
    expect(trial!.questions).toHaveLength(7);
    expect(occurrencesOf(textOf(trial!), 'The special magic')).toBe(100);
    const all = (await make('multi', 3000, 100))[0]!.questions;
    expect(new Set(all.map(({ question }) => question)).size).toBe(100);
    expect(new Set(all.map(({ expected }) => expected[0])).size).toBe(100);
  });
});

describe('absent', () => {
  it('asks for what is there and for what is not, as often', async () => {
    const trials = await make('absent', 1500, 160);
    const questions = trials.flatMap((trial) => trial.questions);
    expect(questions.filter(({ scoring }) => scoring === 'absent')).toHaveLength(80);
    const parts: Record<string, number> = {};
    for (const { part } of questions) parts[part!] = (parts[part!] ?? 0) + 1;
    expect(parts).toEqual({
      'needle, there': 40,
      'needle, absent': 40,
      'phrasing, there': 40,
      'phrasing, absent': 20,
      'phrasing, absent, other key there': 20,
    });
  });
  it('has no needle for an absent city, and other cities in its place', async () => {
    for (const trial of await make('absent', 1500, 64)) {
      const text = textOf(trial);
      const there = new Set(trial.questions.filter(({ scoring }) => scoring !== 'absent').map(({ question }) => question));
      for (const { question, part } of trial.questions) {
        if (part === 'needle, absent') expect(text).not.toContain(question.replace('What is the', 'The').replace('?', ' is'));
        if (part?.startsWith('phrasing, absent')) expect(there).not.toContain(question);
      }
      if (trial.questions[0]!.part?.startsWith('needle')) expect(occurrencesOf(text, 'The special magic')).toBe(4);
    }
  });
});

describe('squad', () => {
  it('asks the same questions at every length, of a document that holds their paragraph once', async () => {
    const key = (trials: readonly Trial[]): unknown => trials.flatMap(({ questions }) => questions);
    const own = await make('squad', 0, 40);
    const long = await make('squad', 4000, 40);
    expect(key(long)).toEqual(key(own));
    for (const [i, trial] of own.entries()) {
      expect(trial.pieces).toHaveLength(1);
      expect(occurrencesOf(textOf(long[i]!), trial.pieces[0]!)).toBe(1);
      expect(new Set(long[i]!.pieces).size).toBe(long[i]!.pieces.length);
    }
    const places = long.map((trial, i) => trial.pieces.findIndex((piece) => piece.startsWith(own[i]!.pieces[0]!)) / trial.pieces.length);
    expect(Math.min(...places)).toBeLessThan(0.25);
    expect(Math.max(...places)).toBeGreaterThan(0.75);
  });
  it('asks all there is where more is asked for, and can do with one paragraph', async () => {
    const paragraphs = loadSquad(path.join(packageRoot, 'fixtures', 'squad', 'dev-sample.json'));
    const questions = (await trialsOf(squadSuite(paragraphs), 0, 1e6)).flatMap((trial) => trial.questions);
    expect(questions).toHaveLength(200);
    const one = [paragraphs.find((paragraph) => paragraph.questions.length > 0)!];
    expect((await trialsOf(squadSuite(one), 4000, 1))[0]!.pieces).toHaveLength(1);
  });
  it('says what is wrong with a file', () => {
    expect(() => loadSquad('nowhere.json')).toThrow(/^nowhere\.json: /u);
    expect(() => loadSquad(path.join(packageRoot, 'package.json'))).toThrow(/no questions/u);
  });
});
it('the package has more than a megabyte of prose, and takes what a length needs', () => {
  expect(packageHaystacks(0)).toHaveLength(1);
  expect(packageHaystacks(65_536)).toHaveLength(1);
  const all = packageHaystacks(131_072);
  expect(all.map((file) => statSync(file).size).reduce((a, b) => a + b)).toBeGreaterThan(1e6);
  for (const file of all) {
    // No needle could be one of its sentences.
    const text = readFileSync(file, 'utf8');
    expect(text).not.toMatch(/magic number|secret (?:word|keyword)|\d{7}/iu);
  }
});
