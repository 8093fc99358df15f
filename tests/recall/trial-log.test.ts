/** The log of a run that may be killed at any point, and what it is held against. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compare, readBaseline } from '../../src/recall/baseline.js';
import { checkGate, gateSentence } from '../../src/recall/gate.js';
import { recordKey } from '../../src/recall/record.js';
import type { RunSettings } from '../../src/recall/settings.js';
import { mcnemarExact } from '../../src/recall/statistics.js';
import { openTrialLog } from '../../src/recall/trial-log.js';
import { scratch } from '../cli/run.js';
import { recordOf } from './stand-in.js';

const settings: RunSettings = {
  model: 'tiny',
  model_sha256: 'ab',
  quantization: 'bf16',
  device: 'cpu',
  kv: 'f16',
  looks: 0,
  seed: 1,
  suites: [{ name: 'gemini', lengths: [1024], depths: [0, 100], questions: 2 }],
  haystack_sha256: ['cd'],
};
const records = [recordOf({ index: 0 }), recordOf({ index: 1, question: 'a\nb \u2028 "c"' })];

describe('the log', () => {
  it('is gone on with, also after a line that was torn anywhere', async () => {
    const file = path.join(scratch(), 'log.jsonl');
    const first = await openTrialLog(file, settings);
    expect(first.done.size).toBe(0);
    await first.append([records[0]!]);
    await first.append([records[1]!]);
    await first.close();
    const whole = readFileSync(file);
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (const cut of [whole.length, whole.length - 1, lastLine + 20, lastLine + 1, lastLine]) {
      writeFileSync(file, whole.subarray(0, cut));
      const log = await openTrialLog(file, settings);
      const kept = cut === whole.length ? records : records.slice(0, 1);
      expect([...log.done.values()]).toEqual(kept);
      // What came from the log is not written again.
      await log.append([...log.done.values()]);
      if (kept.length === 1) await log.append([records[1]!]);
      await log.close();
      expect(readFileSync(file)).toEqual(whole);
    }
  });

  it('begins again where not even the first line was written', async () => {
    const file = path.join(scratch(), 'log.jsonl');
    writeFileSync(file, '{"schema":"lodestone.nee');
    const log = await openTrialLog(file, settings);
    await log.append(records);
    await log.close();
    expect((await openTrialLog(file, settings)).done.size).toBe(2);
  });

  it.each(Object.keys(settings) as (keyof RunSettings)[])('of another %s is refused by that name, and left as it is', async (name) => {
    const file = path.join(scratch(), 'log.jsonl');
    await (await openTrialLog(file, { ...settings, [name]: 'other' })).close();
    const before = readFileSync(file, 'utf8');
    await expect(openTrialLog(file, settings)).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining(`another ${name} ("other", now`) as string });
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  it('is never made of a file that is something else', async () => {
    const file = path.join(scratch(), 'notes.txt');
    writeFileSync(file, 'Dear diary\n');
    await expect(openTrialLog(file, settings)).rejects.toMatchObject({ exitCode: 7, message: expect.stringContaining('is not a log') as string });
    expect(readFileSync(file, 'utf8')).toBe('Dear diary\n');
    const log = path.join(scratch(), 'log.jsonl');
    await (await openTrialLog(log, settings)).close();
    appendFileSync(log, 'torn in the middle\n{"type":"trial"}\n');
    await expect(openTrialLog(log, settings)).rejects.toThrow(/line 2 is not a trial/u);
  });

  it('has the later of two lines about one question', async () => {
    const file = path.join(scratch(), 'log.jsonl');
    const log = await openTrialLog(file, settings);
    await log.append([recordOf({ outcome: 'error' }), recordOf({ outcome: 'hit' })]);
    await log.close();
    expect((await openTrialLog(file, settings)).done.get(recordKey(recordOf({})))?.outcome).toBe('hit');
  });
});

describe('a baseline', () => {
  const saved = (changes: object): string => {
    const file = path.join(scratch(), 'base.json');
    writeFileSync(file, JSON.stringify({ schema: 'lodestone.needle/1', settings, trials: [], ...changes }));
    return file;
  };
  const outcomes = (list: string): ReturnType<typeof recordOf>[] =>
    [...list].map((c, index) => recordOf({ index, outcome: c === '+' ? 'hit' : c === '-' ? 'miss' : 'error', score: c === '+' ? 1 : 0 }));

  it('may be of another model, but not of other questions', () => {
    expect(readBaseline(saved({ settings: { ...settings, model: 'x', model_sha256: 'y', kv: 'q8_0', looks: 6, device: 'z' } }), settings).trials).toEqual([]);
    for (const name of ['seed', 'suites', 'haystack_sha256']) {
      expect(() => readBaseline(saved({ settings: { ...settings, [name]: 7 } }), settings)).toThrow(new RegExp(`its ${name} differs`, 'u'));
    }
    expect(() => readBaseline(saved({ schema: 'lodestone.answer/1' }), settings)).toThrow(/is not what lodestone needle --json prints/u);
    expect(() => readBaseline('nowhere.json', settings)).toThrow(/nowhere\.json/u);
  });

  it('is compared pair by pair, errors left out', () => {
    const baseline = { file: 'b', trials: outcomes('++++-e+'), loss: { tokens: 10, loss: 2 } };
    const comparison = compare(baseline, outcomes('+--++++e'), { tokens: 10, loss: 2.1 });
    expect(comparison).toMatchObject({ pairs: 6, hits_before: 5, hits_now: 4, lost: 2, gained: 1, drop: 1 / 6, losses: { before: 2, now: 2.1 } });
    expect(compare(baseline, [], { tokens: 9, loss: 2 }).losses).toBeNull();
    expect(() => compare(baseline, [recordOf({ question: 'another' })], null)).toThrow(/asked other questions/u);
    const gate = (maxDrop: number) => checkGate({ maxDrop }, { suites: [], threshold: 0.85, seconds: 0, comparison })!.checks[0]!;
    expect(gate(0.16)).toMatchObject({ passed: false, message: expect.stringMatching(/from 5 to 4 of 6 pairs \(2 lost, 1 gained, p = 1\.0\), a drop of 16\.7 %; the most is 16 %/u) as string });
    expect(gate(0.17).passed).toBe(true);
  });

  it('the exact McNemar test is twice the tail of a fair coin', () => {
    expect(mcnemarExact(0, 0)).toBe(1);
    expect(mcnemarExact(5, 0)).toBeCloseTo(2 / 32, 12);
    expect(mcnemarExact(1, 8)).toBeCloseTo((2 * (1 + 9)) / 512, 12);
    expect(mcnemarExact(3, 3)).toBe(1);
    expect(mcnemarExact(2000, 1000)).toBeLessThan(1e-70);
  });
});

it('the gate says which limit failed, and why', () => {
  const overall = { hits: 1, misses: 1, refusals: 2, errors: 0, trials: 4, recall: 0.25, chance: 0, interval: [0, 1] } as const;
  const suite = {
    name: 'gemini',
    about: '',
    lengths: [1024, 4096],
    shortest: '',
    depths: [0, 50],
    overall,
    rows: [],
    cells: [{ ...overall, length: 1024, depth: 0, recall: 1 }, { ...overall, length: 4096, depth: 50, recall: 0, hits: 0 }],
    effective_length: 1024,
    controls: { alone: null, without: null },
    reads_back: null,
    recorded: null,
    unit: 'tokens' as const,
  };
  const input = { suites: [suite], threshold: 0.85, seconds: 12.34, comparison: null };
  expect(checkGate({}, input)).toBeNull();
  const gate = checkGate({ minRecall: 0.9, minCell: 0.5, effectiveLength: 4096, maxSeconds: 10 }, input)!;
  expect(gateSentence(gate)).toBe(
    'gate failed: min-recall: recall of gemini is 25 % (1 of 4); the least is 90 %; ' +
      'min-cell: 1 of 2 cells of gemini are below 50 %; the worst is 4K at depth 50 % with 0 % (0 of 4); ' +
      'effective-length: effective length of gemini (recall of 85 % at it and at all shorter ones) is 1,024 tokens; the least is 4,096; ' +
      'max-seconds: the trials took 12.3 s; the limit is 10 s',
  );
  expect(checkGate({ minRecall: 0.25, minCell: 0, effectiveLength: 1024, maxSeconds: 12.4 }, input)!.passed).toBe(true);
});
