/** The runner on the embedded model: that it counts right, not how good the model is. */
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerEach, readEverything } from '../../src/answer/reading.js';
import { encodeDocuments, encodeQuestion, joinPrompt } from '../../src/encode/prompt.js';
import type { Device } from '../../src/device/device.js';
import { selectDevice } from '../../src/device/select.js';
import { segmentText } from '../../src/ingest/text.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { formatMiss, formatRow } from '../../src/recall/report.js';
import { inquiryOf, trialRequest } from '../../src/recall/request.js';
import { modelAnswerer, type Answerer } from '../../src/recall/respond.js';
import { runSuite, type Asked, type Row } from '../../src/recall/runner.js';
import { fixtureSources, openSuites } from '../../src/recall/suites.js';
import type { Suite, TrialQuestion } from '../../src/recall/trial.js';
import { openModel, type Model } from '../../src/runtime/model.js';
import { SharedPrefix } from '../../src/runtime/shared-prefix.js';
import { knowsAll } from './stand-in.js';

let device: Device;
let model: Model;
beforeAll(async () => {
  ({ device } = await selectDevice('auto'));
  model = await openModel(embeddedModelDir, device);
});
afterAll(async () => {
  await model.close();
  await device.close();
});

const scripted = (questions: readonly TrialQuestion[], pieces: readonly string[] = ['The tower is blue. ', 'The gate is red.']): Suite => ({
  name: 'scripted',
  about: 'as the test says',
  lengths: [256],
  questions: questions.length,
  async *make() {
    yield { pieces, questions };
  },
});

describe('runSuite', () => {
  it('counts hits, "not found" and parts, and what it took', async () => {
    const asked: Asked[] = [];
    const questions: TrialQuestion[] = [
      // Any answer holds one of the letters it is made of; no answer holds a private character.
      { question: 'What colour is the gate?', expected: ['\uE000'], scoring: 'contains', part: 'there', depthPercent: 50 },
      { question: 'What colour is the tower?', expected: ['\uE000'], scoring: 'contains', part: 'there', depthPercent: 0 },
      { question: 'What colour is the horse?', expected: [], scoring: 'absent', part: 'absent' },
    ];
    const suite = scripted(questions);
    const row = await runSuite(modelAnswerer(model), suite, 256, { questions: 3, seed: 1, looks: 2, onAsked: (one) => asked.push(one) });
    expect(asked.map(({ question }) => question)).toEqual(questions);
    expect(row).toMatchObject({ suite: 'scripted', length: 256, haystacks: 1 });
    expect(row.parts.map(({ part, once }) => [part, once.trials])).toEqual([['there', 2], ['absent', 1]]);
    const [there, absent] = row.parts;
    expect(there!.once.hits).toBe(0);
    expect(there!.byDepth).toEqual([{ depthPercent: 0, hits: 0, trials: 1 }, { depthPercent: 50, hits: 0, trials: 1 }]);
    expect(there!.once.notFound).toBe(asked.slice(0, 2).filter(({ response }) => response.once === '').length);
    expect(absent!.once.hits).toBe(absent!.once.notFound);
    expect(absent!.twice!.trials).toBe(1);
    expect(row.documentTokens[0]).toBe(row.documentTokens[1]);
    expect(row.tokensRead).toBeGreaterThan(row.documentTokens[0]);
    for (const value of [row.seconds, row.lookSeconds, row.tokensPerSecond, row.kvBytes, row.peakRssBytes]) expect(value).toBeGreaterThan(0);

    const lines = formatRow(row, suite);
    expect(lines[0]).toMatch(/^ {6}256 tokens {2}there: 0\/2 0\.0 % \(0\.0-65\.8\)/u);
    expect(lines).toHaveLength(3);
    expect(formatMiss(asked[0]!)).toMatch(/^miss scripted 256 50 %: What colour is the gate\? -> ".*", then ".*" \(\uE000\)$/u);
  });

  it('takes no second look where none is asked for', async () => {
    const row = await runSuite(modelAnswerer(model), scripted([{ question: 'Who?', expected: [], scoring: 'absent' }]), null, { questions: 1, seed: 1, looks: 0 });
    expect(row.parts[0]!.twice).toBeNull();
    expect(row.lookSeconds).toBeLessThan(0.1);
  });

  it('keeps the whole prompt and its answer within the length', async () => {
    const names = ['gemini', 'absent', 'squad', 'heldout'] as const;
    const answerer = modelAnswerer(model);
    const suites = await openSuites(names, fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), answerer.count);
    for (const suite of suites) {
      const length = 2048;
      for await (const { pieces, questions } of suite.make(await trialRequest(answerer, length, 4, 2))) {
        const source = { path: 'haystack', kind: 'text', bytes: 0, sha256: '' } as const;
        const documents = await encodeDocuments(model.config.prompt, [{ source, segments: segmentText('', 0, pieces.join('')), warnings: [] }], model.tokenizer);
        for (const { question } of questions) {
          const tail = await encodeQuestion(model.config.prompt, question, model.tokenizer);
          expect(documents.ids.length + tail.length + 64).toBeLessThanOrEqual(length);
          // Paragraphs of SQuAD are whole.
          expect(documents.ids.length + tail.length + 64).toBeGreaterThan((suite.name === 'squad' ? 0.8 : 0.95) * length);
        }
      }
    }
  });
});

describe('stand-ins for a model', () => {
  const count = async (text: string): Promise<number> => text.split(/\s+/u).length;
  /** Answers what `tell` says, knowing the question. */
  const standIn = (tell: (question: TrialQuestion) => string): { run: (suite: Suite) => Promise<Row> } => ({
    async run(suite) {
      const known = new Map<string, TrialQuestion>();
      const told: Suite = {
        ...suite,
        async *make(request) {
          for await (const trial of suite.make(request)) {
            known.clear();
            for (const question of trial.questions) known.set(question.question, question);
            yield trial;
          }
        },
      };
      const answerer: Answerer = {
        count,
        documentTokens: async (length) => length,
        respond: async ({ questions }) => ({
          responses: questions.map(({ question }) => ({ once: tell(known.get(question)!), twice: null })),
          documentTokens: 1,
          tokensRead: 1,
          tokensReused: 0,
          prefillMs: 1,
          decodeMs: 1,
          kvBytes: 1,
          lookMs: 0,
        }),
      };
      return runSuite(answerer, told, 1500, { questions: 24, seed: 3, looks: 0 });
    },
  });
  const rowsOf = async (tell: (question: TrialQuestion) => string): Promise<Row[]> => {
    const rows: Row[] = [];
    // Of each kind of scoring; all of them go through trials.test.ts.
    const suites = await openSuites(['gemini', 'absent', 'injection', 'squad'], fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), count);
    for (const suite of suites) rows.push(await standIn(tell).run(suite));
    return rows;
  };

  it('that know everything get everything, with a full score', async () => {
    for (const { suite, parts } of await rowsOf(knowsAll)) {
      for (const { part, once } of parts) expect([suite, part, once.hits, once.score.mean]).toEqual([suite, part, once.trials, 1]);
    }
  });

  it('that refuse everything get what is absent, and nothing else', async () => {
    for (const { suite, parts } of await rowsOf(() => '')) {
      for (const { part, once } of parts) {
        expect(once.notFound).toBe(once.trials);
        expect([suite, part, once.hits]).toEqual([suite, part, /absent|asked to follow/u.test(part) ? once.trials : 0]);
      }
    }
  });

  it('that say the same of everything get nothing', async () => {
    for (const { suite, parts } of await rowsOf(() => 'zzz')) {
      for (const { part, once } of parts) if (part !== 'asked to follow') expect([suite, part, once.hits, once.score.mean, once.notFound]).toEqual([suite, part, 0, 0, 0]);
    }
  });
});

it('what documents have in common is not read again, and no answer is another', async () => {
  const shared = modelAnswerer(model);
  const [suite] = await openSuites(['gemini'], { ...fixtureSources(path.join(packageRoot, 'fixtures'), embeddedModelDir), depths: [0, 40, 80, 100] }, shared.count);
  let reused = 0;
  for await (const trial of suite!.make(await trialRequest(shared, 1800, 4, 6))) {
    const alone = modelAnswerer(model);
    const inquiry = await inquiryOf(trial);
    const together = await shared.respond(inquiry, { looks: 0 });
    expect(together.responses).toEqual((await alone.respond(inquiry, { looks: 0 })).responses);
    reused += together.tokensReused;
    alone.close();
  }
  expect(reused).toBeGreaterThan(1500);
  shared.close();
});

describe('answerEach', () => {
  it('answers each question as if it were the only one', async () => {
    const source = { path: 'a', kind: 'text', bytes: 0, sha256: '' } as const;
    const text = 'The code of the gate is 7731942. The keeper of the tower is Ida Marsh. The lamp was lit at noon. '.repeat(20);
    const documents = await encodeDocuments(model.config.prompt, [{ source, segments: segmentText('a', 0, text), warnings: [] }], model.tokenizer);
    const questions = ['What is the code of the gate?', 'Who is the keeper of the tower?', 'What is the code of the gate?'];
    const request = { sampling: { temperature: 0 }, maxTokens: 16, chunk: 64, looks: 0 };
    const ends = await Promise.all(questions.map((question) => encodeQuestion(model.config.prompt, question, model.tokenizer)));
    const signal = new AbortController().signal;
    const prefix = new SharedPrefix(model, { chunk: 64 });
    const read: number[] = [];
    const many = await answerEach(model, request, documents, ends, prefix, signal, (event) => {
      if (event.type === 'prefill') read.push(event.done);
    });
    expect(read.at(-1)).toBe(documents.ids.length);
    for (const [i, end] of ends.entries()) {
      const { reading } = await readEverything(model, request, joinPrompt(documents, end), signal, () => undefined);
      expect(many.readings[i]).toEqual(reading);
    }
    expect([many.tokensRead >= documents.ids.length, many.tokensReused]).toEqual([true, 0]);
    expect(await answerEach(model, request, documents, [], prefix, signal, () => undefined)).toMatchObject({ readings: [], tokensRead: 0, tokensReused: documents.ids.length });
    prefix.close();
  });

  it('stops when it is told to', async () => {
    const documents = { ids: Uint32Array.of(model.tokenizer.controlId('<bos>')), sourceTokens: [0], segmentEnds: [], sourceEnds: [1] };
    const abort = new AbortController();
    abort.abort(new Error('enough'));
    const prefix = new SharedPrefix(model, { chunk: 64 });
    await expect(answerEach(model, { sampling: { temperature: 0 }, maxTokens: 4 }, documents, [Uint32Array.of(5)], prefix, abort.signal, () => undefined)).rejects.toThrow('enough');
    prefix.close();
  });
});
