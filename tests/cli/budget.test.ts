/** `ask --budget`, as a user and as a script run it, on a text far larger than the budget. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Answer, AskEvent, Plan } from '../../src/answer/answer.js';
import { packageRoot } from '../../src/paths.js';
import { lodestone, scratch } from './run.js';

const question = 'What is the access code for the Harrow Lane archive?';
const sentence = 'The access code for the Harrow Lane archive is 7731942.';
const ajv = new Ajv2020({ allErrors: true });
const isEvent = ajv.compile(JSON.parse(readFileSync(path.join(packageRoot, 'schemas', 'events.schema.json'), 'utf8')) as object);

let file = '';
let line = 0;
const cache = { XDG_CACHE_HOME: scratch() };

beforeAll(() => {
  const prose = readFileSync(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8');
  const half = prose.indexOf('\n\n', prose.length / 2);
  const head = `${prose.slice(0, half)}\n\n`;
  file = path.join(scratch(), 'essays.txt');
  line = head.split('\n').length;
  writeFileSync(file, `${head}${sentence}${prose.slice(half)}`);
});

describe('ask --budget', () => {
  it('answers from a part of the text, cites what was read, and says what that was', async () => {
    const { code, stdout, stderr } = await lodestone(['ask', question, file, '--budget', '2k', '--json'], { env: cache });
    const answer = JSON.parse(stdout) as Answer;
    expect(answer).toMatchObject({ answer: '7731942', found: true, citations: [{ source: file, lines: [line, line], quote: sentence, verified: true }] });
    const { budget, tokens } = answer;
    expect(budget).toMatchObject({ asked: { tokens: 2048 }, index_kept: false });
    expect(tokens.input).toBeLessThanOrEqual(2048);
    expect(tokens.input).toBe(budget!.steps.reduce((sum, step) => sum + step.tokens, 0));
    expect(budget!.corpus_tokens).toBeGreaterThan(50_000);
    expect(budget!.steps.some((step) => step.source === file && step.line! <= line && line - step.line! < 40)).toBe(true);
    expect(stderr).toMatch(/^lodestone: read [\d,]+ of about [\d,]+ tokens \([\d.]+ %\) in \d+ steps?; .+\n$/u);
    expect(code).toBe(0);
    // Now the index is there; the answer is the same.
    const again = JSON.parse((await lodestone(['ask', question, file, '--budget', '2k', '--json', '-q'], { env: cache })).stdout) as Answer;
    expect(again.budget!.index_kept).toBe(true);
    expect(again.citations).toEqual(answer.citations);
    expect(again.budget!.steps).toEqual(budget!.steps);
  });

  it('prints events that the schema describes, the answer last', async () => {
    const { stdout } = await lodestone(['ask', question, file, '--budget', '2k', '--jsonl'], { env: cache });
    const events = stdout.trim().split('\n').map((text) => JSON.parse(text) as AskEvent);
    for (const event of events) expect(isEvent(event) ? [] : isEvent.errors, JSON.stringify(event)).toEqual([]);
    expect([...new Set(events.map(({ type }) => type))]).toEqual(['ingest', 'index', 'plan', 'step', 'stop', 'token', 'answer']);
  });

  it('says that the answer is not there, with exit code 8 where that is asked for', async () => {
    const absent = 'What is the access code for the Quillfeather strongroom?';
    const { code, stdout } = await lodestone(['ask', absent, file, '--budget', '2k', '--strict', '--plain'], { env: cache });
    expect(stdout).toBe('Not found in the sources. There is no "Quillfeather" in them.\n');
    expect(code).toBe(8);
  });

  it('reads everything where that fits', async () => {
    const notes = path.join(packageRoot, 'fixtures', 'notes.md');
    const whole = JSON.parse((await lodestone(['ask', 'Who?', notes, '--json', '--no-session'])).stdout) as Answer;
    const within = JSON.parse((await lodestone(['ask', 'Who?', notes, '--json', '--no-session', '--budget', '8k'])).stdout) as Answer;
    expect(within.budget).toBeUndefined();
    expect({ ...within, timings: null }).toEqual({ ...whole, timings: null });
  });

  it('keeps to a budget too small for anything, and to seconds', async () => {
    const tiny = JSON.parse((await lodestone(['ask', question, file, '--budget', '10', '--json'], { env: cache })).stdout) as Answer;
    expect(tiny).toMatchObject({ found: false, tokens: { input: 0 }, budget: { stopped: 'budget', steps: [] } });
    const timed = JSON.parse((await lodestone(['ask', question, file, '--budget', '30s', '--json'], { env: cache })).stdout) as Answer;
    // A fast machine reads everything in that time, and then there is no trace.
    expect(timed.answer).toBe('7731942');
    expect(timed.budget?.asked ?? { seconds: 30 }).toEqual({ seconds: 30 });
    const late = JSON.parse((await lodestone(['ask', question, file, '--budget', '0.001s', '--json'], { env: cache })).stdout) as Answer;
    expect(late).toMatchObject({ found: false, budget: { stopped: 'budget' } });
  });

  it('shows its plan with --dry-run', async () => {
    const { stdout } = await lodestone(['ask', question, file, '--budget', '2k', '--dry-run', '--json'], { env: cache });
    const plan = JSON.parse(stdout) as Plan;
    expect(ajv.validate({ $ref: 'lodestone.events/1#/$defs/plan' }, plan)).toBe(true);
    expect(plan).toMatchObject({ fits: true, tokens: { prompt: 2048 }, budget: { asked: { tokens: 2048 } } });
    expect((await lodestone(['ask', question, file, '--budget', '2k', '--dry-run'], { env: cache })).stdout).toMatch(/^budget +2,048 tokens of about/mu);
  });

  it('refuses what is no budget, and a server', async () => {
    const { code, stderr } = await lodestone(['ask', question, file, '--budget=-5']);
    expect(code).toBe(2);
    expect(stderr).toContain('--budget');
    expect((await lodestone(['ask', question, file, '--budget', '2k', '--endpoint', 'http://127.0.0.1:9'])).code).toBe(2);
  });

  it('stops when it is interrupted', async () => {
    const { code } = await lodestone(['ask', question, file, '--budget', '64k', '--jsonl'], {
      during: (child) => child.stdout!.once('data', () => child.kill('SIGINT')),
    });
    expect(code).toBe(130);
  });
});
