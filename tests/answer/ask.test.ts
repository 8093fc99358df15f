/** What ask does with its model, device and files, where the answer itself does not matter: generation follows a script. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { AskEvent } from '../../src/answer/answer.js';
import { ask, planAsk, type AskRequest } from '../../src/answer/ask.js';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import { ABSENT_TOKEN } from '../../src/encode/prompt.js';
import { openTokenizer } from '../../src/encode/tokenizer.js';
import { ExitCode, LodestoneError } from '../../src/errors.js';
import { embeddedModelDir } from '../../src/paths.js';
import { Context } from '../../src/runtime/context.js';
import type { GenerateEnd, GenerateOptions, GeneratedToken } from '../../src/runtime/generate.js';
import { openModel } from '../../src/runtime/model.js';
import { scratch } from '../ingest/support.js';

const script: { ids: number[]; logProb: number } = { ids: [], logProb: Math.log(0.5) };
vi.mock('../../src/runtime/generate.js', () => ({
  async *generate(_: unknown, __: unknown, { stop = [], maxTokens = Infinity }: GenerateOptions): AsyncGenerator<GeneratedToken, GenerateEnd> {
    const { logProb } = script;
    for (const [i, id] of script.ids.entries()) {
      if (stop.includes(id)) return { reason: 'stop', stopId: id, logProb };
      yield { id, logProb };
      if (i + 1 === maxTokens) return { reason: 'length' };
    }
    return { reason: 'context' };
  },
}));

const file = join(scratch(), 'a.txt');
writeFileSync(file, 'The harbour fee is nine crowns.\n');
const request: AskRequest = {
  question: 'How much is the harbour fee?',
  paths: [file],
  modelDir: embeddedModelDir,
  quantize: 'none',
  sampling: { temperature: 0 },
  maxTokens: 8,
  chunk: 512,
  looks: 0,
};
const never = new AbortController().signal;
const tokenizer = await openTokenizer(embeddedModelDir);
const text = await tokenizer.encodeText('nine crowns');
const absent = tokenizer.controlId(ABSENT_TOKEN);
const eos = 1;

let device: Device;
let events: AskEvent[];
const emit = (event: AskEvent): void => void events.push(event);
const warnings = (): string[] => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));
const shown = (): string => events.map((event) => (event.type === 'token' ? event.text : '')).join('');
beforeEach(() => {
  device = createReferenceDevice();
  events = [];
});

describe('the end of an answer', () => {
  it('is kept: stop', async () => {
    script.ids = [...text, eos];
    const answer = await ask(request, device, never, emit);
    expect(answer).toMatchObject({ answer: 'nine crowns', found: true, finish: 'stop', tokens: { generated: text.length } });
    expect(answer.confidence).toBeCloseTo(0.5 ** text.length, 6);
    expect(warnings()).toEqual([]);
  });

  it('by --max-tokens or a full context is said aloud', async () => {
    script.ids = [...text, eos];
    expect((await ask({ ...request, maxTokens: 1 }, device, never, emit)).finish).toBe('length');
    expect(warnings()).toEqual(['the answer was cut at 1 token: raise --max-tokens']);
    events = [];
    script.ids = [...text];
    expect((await ask(request, device, never, emit)).finish).toBe('context');
    expect(warnings()).toEqual([`the answer was cut at ${text.length} tokens: the model's context is full`]);
  });

  it('is the token for "not there": nothing comes after it, and nothing of it is shown', async () => {
    script.ids = [absent, ...text, eos];
    const answer = await ask(request, device, never, emit);
    expect(answer).toMatchObject({ answer: '', found: false, finish: 'stop', citations: [], tokens: { generated: 0 } });
    expect(answer.confidence).toBeCloseTo(0.5, 6);
    expect(shown()).toBe('');
    script.ids = [...text, absent, ...text, eos];
    expect((await ask(request, device, never, emit)).answer).toBe('nine crowns');
    expect(shown()).toBe('nine crowns');
  });
});

describe('ask', () => {
  it('hashes the weights only when asked to', async () => {
    script.ids = [...text, eos];
    expect((await ask(request, device, never, emit)).model).not.toHaveProperty('sha256');
    expect((await ask({ ...request, hashWeights: true }, device, never, emit)).model.sha256).toMatch(/^[0-9a-f]{64}$/u);
  });

  it('gives every buffer back, whatever fails', async () => {
    script.ids = [...text, eos];
    await ask(request, device, never, emit);
    expect(device.allocatedBytes).toBe(0);
    const createBuffer = device.createBuffer.bind(device);
    vi.spyOn(device, 'createBuffer').mockImplementation((bytes, label) => {
      if (label === 'logits') throw new LodestoneError(ExitCode.outOfMemory, 'no memory');
      return createBuffer(bytes, label);
    });
    await expect(ask(request, device, never, emit)).rejects.toMatchObject({ exitCode: ExitCode.outOfMemory });
    expect(device.allocatedBytes).toBe(0);
  });

  it('neither plans nor refuses an input with weights on the device', async () => {
    vi.spyOn(device, 'loadWeight').mockRejectedValue(new Error('loaded'));
    expect((await planAsk(request, device, never, emit)).fits).toBe(true);
    await expect(ask({ ...request, maxTokens: 2 ** 25 }, device, never, emit)).rejects.toMatchObject({ exitCode: ExitCode.contextExceeded });
    expect(device.allocatedBytes).toBe(0);
  });
});

describe('the plan', () => {
  it.each(['none', 'q8_0', 'q4_0'] as const)('says what loading with %s then takes', async (quantize) => {
    const plan = await planAsk({ ...request, quantize }, device, never, emit);
    const model = await openModel(embeddedModelDir, device, { quantize });
    expect(plan.model).toMatchObject({ weight_bytes: model.weightBytes, quantization: model.quantization });
    await model.close();
  });

  it.each([7, 512, 1_000_000])('counts the keys and values that a context then holds, chunk %i', async (chunk) => {
    const plan = await planAsk({ ...request, chunk }, device, never, emit);
    const model = await openModel(embeddedModelDir, device);
    const context = new Context(model, { chunk, positions: plan.tokens.prompt + plan.tokens.answer });
    await context.prefill(new Uint32Array(plan.tokens.prompt));
    expect(plan.kv.bytes).toBe(context.kvBytes);
    context.close();
    await model.close();
  });
});
