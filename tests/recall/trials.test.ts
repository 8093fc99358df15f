/** Records, their figures and controls, by answerers whose figures are known beforehand. */
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { createRandom, pick } from '../../src/random.js';
import { canarySuite } from '../../src/recall/canary.js';
import { checkGate } from '../../src/recall/gate.js';
import { linearDepths, splitUnits } from '../../src/recall/haystack.js';
import { multiSuite } from '../../src/recall/niah.js';
import { judge, recordKey, type TrialRecord } from '../../src/recall/record.js';
import { drawNumber } from '../../src/recall/keys.js';
import { fixtureSources, makeProse, openSuites, suiteNames, type SuiteName } from '../../src/recall/suites.js';
import { effectiveLength, summarise } from '../../src/recall/summary.js';
import { runTrials, type TrialOptions } from '../../src/recall/trials.js';
import type { Suite, TrialQuestion } from '../../src/recall/trial.js';
import { countWords, knowsAll, planned, standIn } from './stand-in.js';

const depths = linearDepths(5);
const suites = new Map<string, Suite>();
beforeAll(async () => {
  const sources = { ...fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), depths };
  for (const suite of await openSuites(suiteNames, sources, countWords)) suites.set(suite.name, suite);
});

async function run(tell: (question: TrialQuestion, document: string) => string, suite: Suite, options: Partial<TrialOptions> & { lengths?: (number | null)[]; questions?: number } = {}) {
  const { answerer, spy, asked } = standIn(tell);
  const { lengths = [600, 1200], questions = 10, ...rest } = options;
  const plan = [planned(spy(suite), lengths, questions, Math.min(5, questions))];
  const records: TrialRecord[] = [];
  for await (const group of runTrials(answerer, plan, { seed: 1, looks: 0, ...rest })) records.push(...group);
  return { records, asked, summary: summarise(plan, records, 0.85)[0]! };
}

const gateOf = (summary: Awaited<ReturnType<typeof run>>['summary']) => checkGate({ minRecall: 0.9 }, { suites: [summary], threshold: 0.85, seconds: 1, comparison: null })!;

/** Rounds of questions; in documents of 3,000 words, of which a PDF takes its time. */
const often = async (name: SuiteName, tell: (question: TrialQuestion, document: string) => string, rounds: number) => {
  const suite = suites.get(name)!;
  if (name === 'pdf') return run(tell, suite, { lengths: [300], questions: 2 });
  return run(tell, suite, { lengths: [3000], questions: rounds * (suite.round ?? suite.depths?.length ?? depths.length) });
};

describe.each(suiteNames)('suite %s', (name) => {
  it('gives 100 % to one that knows everything, and passes its gate', async () => {
    const { summary } = await often(name, knowsAll, 1);
    expect(summary.overall).toMatchObject({ hits: summary.overall.trials, misses: 0, refusals: 0, errors: 0, recall: 1 });
    expect(summary.overall.trials).toBeGreaterThan(0);
    expect(summary.effective_length).not.toBeNull();
    expect(gateOf(summary).passed).toBe(true);
  });

  it('gives 0 % and 100 % refusals to one that refuses all, where there is something to find', async () => {
    const { records, summary } = await often(name, () => '', 1);
    const there = records.filter(({ control, expected }) => control === null && expected.length > 0);
    expect(there.length).toBeGreaterThan(0);
    expect(new Set(there.map(({ outcome, score }) => `${outcome} ${score}`))).toEqual(new Set(['refusal 0']));
    expect(gateOf(summary).passed).toBe(false);
  });

  // A PDF takes a second, and has one needle, as gemini.
  it.skipIf(name === 'pdf')('gives one that guesses its stated chance', async () => {
    const random = createRandom(3);
    const { summary } = await often(name, ({ guesses = [] }) => (guesses.length === 0 ? drawNumber(random) : pick(guesses, random)), name === 'multi' ? 2 : 12);
    const { recall, chance, interval: [low, high] } = summary.overall;
    expect([low <= chance, chance <= high], `${recall} by chance of ${chance}`).toEqual([true, true]);
  });
});

describe('runTrials', () => {
  it('gives one that guesses among ten numbers of the document its chance of one in ten', async () => {
    const random = createRandom(7);
    const guess = (_: TrialQuestion, document: string): string => {
      const numbers = document.match(/\b\d{7}\b/gu)!;
      return numbers[Math.floor(random() * numbers.length)]!;
    };
    const text = 'A sentence of prose. Another one of it. '.repeat(40);
    const prose = await makeProse(text, splitUnits(text), ['x'], countWords);
    const cities = ['Oslo', 'Lima', 'Bern', 'Baku', 'Doha', 'Suva', 'Riga', 'Lome', 'Kyiv', 'Male'];
    const { summary } = await run(guess, multiSuite(prose, cities, 10), { lengths: [800], questions: 400 });
    const [low, high] = summary.overall.interval;
    expect(summary.overall.trials).toBe(400);
    expect(low).toBeLessThan(0.1);
    expect(high).toBeGreaterThan(0.1);
    expect(high).toBeLessThan(0.2);
  });

  it('asks the same of every depth of a grid, and the same again for a seed', async () => {
    const { records, summary } = await run(knowsAll, suites.get('gemini')!);
    const asked = records.filter(({ control }) => control === null);
    expect(summary.cells.map(({ length, depth, trials }) => [length, depth, trials])).toEqual([600, 1200].flatMap((length) => depths.map((depth) => [length, depth, 2])));
    expect(new Set(asked.map(recordKey)).size).toBe(20);
    const strip = (list: readonly TrialRecord[]) => list.map((record) => ({ ...record, seconds: 0 }));
    expect(strip((await run(knowsAll, suites.get('gemini')!)).records)).toEqual(strip(records));
  });

  it('controls: the needle alone is all there is, and without it nothing is', async () => {
    const { records, summary } = await run(({ expected }, document) => (document.includes(expected[0]!) ? expected[0]! : 'a guess'), suites.get('gemini')!);
    const of = (control: string) => records.filter((record) => record.control === control);
    expect([of('alone').length, of('without').length]).toEqual([5, 5]);
    expect(of('alone').every(({ document_tokens: tokens }) => tokens < 12)).toBe(true);
    expect(of('without').every(({ document_tokens: tokens }) => tokens > 500)).toBe(true);
    expect(summary.controls.alone).toMatchObject({ hits: 5, trials: 5 });
    expect(summary.controls.without).toMatchObject({ hits: 0, misses: 5, trials: 5 });
    expect(summary.overall.trials).toBe(20);
    // One that needs no document is found out by its chance line.
    expect((await run(knowsAll, suites.get('gemini')!)).summary.controls.without).toMatchObject({ hits: 5 });
  });

  it('keeps errors apart from misses, and goes on', async () => {
    let n = 0;
    const tell = (question: TrialQuestion): string => {
      if (n++ % 4 === 0) throw new LodestoneError(ExitCode.outOfMemory, 'no room');
      return knowsAll(question);
    };
    const { records, summary } = await run(tell, suites.get('gemini')!);
    const { errors, hits, recall, trials } = summary.overall;
    expect(errors).toBeGreaterThan(0);
    expect([hits + errors, recall, trials]).toEqual([20, 1, 20]);
    expect(records.find(({ outcome }) => outcome === 'error')).toMatchObject({ error: 'no room', error_code: 5 });
    expect(gateOf(summary)).toMatchObject({ passed: false });
    expect(gateOf(summary).checks.filter(({ passed }) => !passed).map(({ name }) => name)).toEqual(['errors']);
  });

  it('asks nothing again that is done, but errors', async () => {
    const first = await run(knowsAll, suites.get('gemini')!);
    const done = new Map(first.records.map((record) => [recordKey(record), record]));
    const second = await run(() => 'never asked', suites.get('gemini')!, { done });
    expect([second.asked, second.records]).toEqual([[], first.records]);
    const broken = first.records[0]!;
    done.set(recordKey(broken), { ...broken, outcome: 'error' });
    const third = await run(knowsAll, suites.get('gemini')!, { done });
    expect(third.asked).toHaveLength(1);
    expect(third.records[0]!.outcome).toBe('hit');
  });

  it('stops when it is told to', async () => {
    const abort = new AbortController();
    const tell = (): string => {
      abort.abort(new Error('enough'));
      throw abort.signal.reason as Error;
    };
    await expect(run(tell, suites.get('gemini')!, { signal: abort.signal })).rejects.toThrow('enough');
  });
});

describe('canaries', () => {
  const text = 'Oslo lies on a fjord. Nothing is said of 1234567 here! '.repeat(30) + 'a | table | of | cells\n'.repeat(60);

  it('stand in the whole document, in its order, about keys that it does not hold', async () => {
    const prose = await makeProse(text, splitUnits(text), ['x'], countWords);
    const suite = canarySuite(prose, ['Oslo', 'Lima'], depths);
    const { records, asked, summary } = await run(knowsAll, suite, { lengths: [null], questions: 5 });
    const document = asked[0]!;
    const questions = records.filter(({ control }) => control === null);
    expect(questions).toHaveLength(5);
    expect(questions.some(({ question }) => question.includes('Oslo'))).toBe(false);
    for (const { expected } of questions) expect(document.split(expected[0]!)).toHaveLength(2);
    // A needle after a line has no space of its own in front.
    const bare = (given: string): string => given.replaceAll(/\s+/gu, '');
    expect(bare(document.replaceAll(/The special magic \S+ number is: \d{7} /gu, ''))).toBe(bare(text));
    const behind = questions.map(({ tokens_behind: tokens }) => tokens!);
    expect(behind).toEqual(behind.toSorted((a, b) => b - a));
    expect(questions.at(-1)!.tokens_behind).toBe(0);
    expect(summary.reads_back).toEqual({ tokens: questions[0]!.tokens_behind, of: questions[0]!.tokens_behind });
  });

  it('tell how far back it is read', async () => {
    const prose = await makeProse(text, splitUnits(text), ['x'], countWords);
    const nearsighted = ({ expected, tokensBehind }: TrialQuestion): string => ((tokensBehind ?? 0) < 200 ? expected[0]! : '');
    const { records, summary } = await run(nearsighted, canarySuite(prose, [], depths), { lengths: [null], questions: 5 });
    const behind = records.filter(({ control }) => control === null).map(({ tokens_behind: tokens }) => tokens!);
    expect(summary.reads_back).toEqual({ tokens: Math.max(...behind.filter((tokens) => tokens < 200)), of: behind[0] });
  });
});

it('the effective length ends before the first length that fails', () => {
  const recall: Record<number, number> = { 1: 1, 2: 0.9, 4: 0.5, 8: 1 };
  expect(effectiveLength([8, 1, 4, 2, null], (length) => recall[length]!, 0.85)).toBe(2);
  expect(effectiveLength([4, 8], (length) => recall[length]!, 0.85)).toBeNull();
});

it('refusals in words are those of a model that has words', () => {
  const question = { scoring: 'contains', expected: ['7'] } as const;
  for (const said of ['The magic number is not mentioned in the text.', "I can't find it.", 'UNANSWERABLE', 'The document does not contain that.']) {
    expect([said, judge(question, said, true).outcome]).toEqual([said, 'refusal']);
    expect(judge(question, said, false).outcome).toBe('miss');
  }
  expect(judge(question, 'It is 8.', true).outcome).toBe('miss');
  expect(judge(question, 'It is not mentioned, but I say 7.', true).outcome).toBe('hit');
  expect(judge({ scoring: 'absent', expected: [] }, 'It is 8.', true).outcome).toBe('miss');
  // The letters of "no" stand in many a refusal.
  expect(judge({ scoring: 'part', expected: ['no'] }, 'That is not mentioned.', true)).toEqual({ outcome: 'refusal', score: 0 });
  expect(judge({ scoring: 'part', expected: ['no'] }, 'No, they are not.', true)).toEqual({ outcome: 'hit', score: 1 });
});
