/** Real readings within a budget, of an extractive model and of a chat model in miniature whose answers mean nothing. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer, AskEvent } from '../../src/answer/answer.js';
import type { AskRequest } from '../../src/answer/ask.js';
import { selectDevice } from '../../src/device/select.js';
import type { Device } from '../../src/device/device.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { askWithin } from '../../src/reader/ask.js';
import { scratch } from '../cli/run.js';

const folder = scratch();
const essays = readFileSync(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8').slice(0, 60_000);
const text = path.join(folder, 'essays.txt');
const chatModel = path.join(folder, 'chat');
let device: Device;

function request(modelDir: string, more: Partial<AskRequest> = {}): AskRequest {
  return { question: 'Who keeps the Wexcombe silo?', paths: [text], modelDir, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 8, chunk: 128, looks: 0, ...more };
}

async function within(asked: AskRequest, tokens: number): Promise<{ readonly answer: Answer; readonly events: AskEvent[] }> {
  const events: AskEvent[] = [];
  const answer = await askWithin(asked, { tokens }, device, new AbortController().signal, (event) => events.push(event));
  return { answer, events };
}

beforeAll(async () => {
  writeFileSync(text, `${essays.slice(0, 30_000)}\n\nThe Wexcombe silo is in the care of Ottoline Bramhall.\n\n${essays.slice(30_000)}`);
  cpSync(path.join(packageRoot, 'fixtures', 'gemma3-tiny'), chatModel, { recursive: true });
  const config = JSON.parse(readFileSync(path.join(chatModel, 'config.json'), 'utf8')) as object;
  writeFileSync(path.join(chatModel, 'config.json'), JSON.stringify({ ...config, max_position_embeddings: 8192 }));
  ({ device } = await selectDevice('cpu', { threads: 1 }));
});

afterAll(() => device.close());

describe('reading within a budget', () => {
  it('never takes more than the budget, whatever it is', async () => {
    for (const [model, budgets] of [[embeddedModelDir, [1, 90, 150, 700, 3000]], [chatModel, [1, 400, 1000, 3000]]] as const) {
      for (const budget of budgets) {
        const { answer } = await within(request(model), budget);
        expect(answer.tokens.input, `${model} ${budget}`).toBeLessThanOrEqual(budget);
        expect(answer.tokens.input).toBe(answer.budget!.steps.reduce((sum, { tokens }) => sum + tokens, 0));
      }
    }
  });

  it('cites only what was read', async () => {
    const { answer, events } = await within(request(embeddedModelDir), 3000);
    expect(answer).toMatchObject({ found: true, answer: 'Ottoline Bramhall' });
    const [cited] = answer.citations[0]!.lines!;
    const read = answer.readings.map(({ line }) => line!);
    expect(read.some((line) => line <= cited && cited - line < 12)).toBe(true);
    const steps = events.filter((event) => event.type === 'step');
    expect(steps).toEqual(answer.budget!.steps.map((step, i) => ({ type: 'step', number: i + 1, ...step })));
  });

  it('says what a chat model has read, leaf by leaf', async () => {
    const { answer } = await within(request(chatModel), 3000);
    expect(answer.budget!.steps.length).toBeGreaterThan(1);
    expect(new Set(answer.readings.map(({ line }) => line)).size).toBeGreaterThan(1);
    for (const { quote } of answer.citations) expect(essays.replace(/\s+/gu, ' ')).toContain(quote);
  });

  it('refuses a model whose context holds nothing', async () => {
    await expect(within(request(chatModel, { maxTokens: 8000 }), 3000)).rejects.toThrow(/too few for the question/u);
  });

  it('stops at once when it is aborted between steps', async () => {
    const stop = new AbortController();
    const run = askWithin(request(embeddedModelDir, { question: 'Who keeps the Ostravik granary?' }), { tokens: 8000 }, device, stop.signal, ({ type }) => {
      if (type === 'step') stop.abort(new Error('enough'));
    });
    await expect(run).rejects.toThrow('enough');
  });
});
