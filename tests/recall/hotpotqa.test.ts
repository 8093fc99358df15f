/** The reader of HotpotQA's files, on ours and on what is none. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.js';
import { loadHotpotQa } from '../../src/recall/hotpotqa.js';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(path.join(os.tmpdir(), 'lodestone-hotpotqa-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

it('the sample: a hundred questions, whose answers stand in their documents, or are yes or no', () => {
  const questions = loadHotpotQa(path.join(packageRoot, 'fixtures', 'hotpotqa', 'dev-sample.json'));
  expect(questions).toHaveLength(100);
  expect(questions[0]).toMatchObject({ question: 'Were Scott Derrickson and Ed Wood of the same nationality?', answer: 'yes' });
  for (const { answer, documents, supporting } of questions) {
    expect(supporting).toHaveLength(2);
    expect(documents).toEqual(expect.arrayContaining([...supporting]));
    if (!/^(?:yes|no)$/u.test(answer)) expect(supporting.join('\n')).toContain(answer);
  }
});

it('joins titles and sentences as RULER does', () => {
  const file = path.join(dir, 'one.json');
  const context = [['Ada', ['Ada wrote. ', 'It ran.']], ['Bob', ['Bob read.']], ['Cy', []]];
  writeFileSync(file, JSON.stringify([{ _id: 'x', question: 'Who?', answer: 'Ada', supporting_facts: [['Ada', 0], ['Ada', 1], ['Cy', 0]], context }]));
  expect(loadHotpotQa(file)).toEqual([{ question: 'Who?', answer: 'Ada', documents: ['Ada\nAda wrote. It ran.', 'Bob\nBob read.', 'Cy\n'], supporting: ['Ada\nAda wrote. It ran.', 'Cy\n'] }]);
});

describe('what is no such file', () => {
  const one = { question: 'Who?', answer: 'Ada', supporting_facts: [['Ada', 0]], context: [['Ada', ['Ada.']]] };
  it.each([
    ['nothing', ''],
    ['no list', '{}'],
    ['an empty list', '[]'],
    ['null', '[null]'],
    ['no answer', JSON.stringify([one, { ...one, answer: undefined }])],
    ['no paragraphs', JSON.stringify([{ ...one, context: [] }])],
    ['parallel lists', JSON.stringify([{ ...one, context: { title: ['Ada'], sentences: [['Ada.']] } }])],
    ['sentences that are numbers', JSON.stringify([{ ...one, context: [['Ada', [1]]] }])],
    ['facts that are words', JSON.stringify([{ ...one, supporting_facts: ['Ada'] }])],
  ])('%s', (_, text) => {
    const file = path.join(dir, 'bad.json');
    writeFileSync(file, text);
    expect(() => loadHotpotQa(file)).toThrow(expect.objectContaining({ exitCode: 7, message: expect.stringContaining('bad.json: ') as string }) as Error);
  });
  it('no file', () => {
    expect(() => loadHotpotQa(path.join(dir, 'nowhere.json'))).toThrow(/nowhere\.json: /u);
  });
});
