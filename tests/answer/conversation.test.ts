/** A chat model reads its own answers; what was cancelled or failed leaves no trace. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Answer } from '../../src/answer/answer.js';
import { Conversation, type ConversationRequest } from '../../src/answer/conversation.js';
import { buildPrompt, encodeFollowUp } from '../../src/encode/prompt.js';
import type { Device } from '../../src/device/device.js';
import { ingest } from '../../src/ingest/ingest.js';
import { Context } from '../../src/runtime/context.js';
import { generate } from '../../src/runtime/generate.js';
import { openModel } from '../../src/runtime/model.js';
import { fixtureDir, withTempDir, workingDevices } from '../runtime/fixture.js';

const { create } = (await workingDevices()).at(-1)!;
const never = new AbortController().signal;
let device: Device;
beforeAll(async () => {
  device = await create();
});
afterAll(() => device.close());

const request = (file: string): ConversationRequest => ({ paths: [file], modelDir: fixtureDir, quantize: 'none', sampling: { temperature: 0 }, maxTokens: 6, chunk: 32, looks: 0 });

/** What two answers have in common that must be the same. */
const told = ({ answer, confidence, tokens }: Answer): unknown => [answer, confidence, tokens.input, tokens.generated];

it('goes on from its answers as if all had been read at once', () =>
  withTempDir(async (dir) => {
    const file = join(dir, 'a.txt');
    writeFileSync(file, 'It was so.\n');
    const conversation = await Conversation.open(request(file), device, never, () => undefined);
    const first = await conversation.ask('Who?', never, () => undefined);
    const second = await conversation.ask('And when?', never, () => undefined);
    expect(second.tokens.cached).toBeGreaterThanOrEqual(first.tokens.input);
    await conversation.close();

    const model = await openModel(fixtureDir, device);
    const sources = await ingest([file]);
    const { ids } = await buildPrompt('gemma-chat', 'Who?', sources, model.tokenizer);
    const context = new Context(model);
    const write = async (logits: Float32Array): Promise<number[]> => {
      const written: number[] = [];
      for await (const { id } of generate(context, logits, { stop: model.config.eosIds, maxTokens: 6 })) written.push(id);
      return written;
    };
    const said = await write(await context.prefill(ids));
    const whole = new Context(model);
    const again = [...ids, ...said, ...(await encodeFollowUp('gemma-chat', 'And when?', model.tokenizer))];
    const logits = await whole.prefill(again);
    expect(second.tokens.input).toBe(again.length);
    const expected: number[] = [];
    for await (const { id } of generate(whole, logits, { stop: model.config.eosIds, maxTokens: 6 })) expected.push(id);
    const text = await model.tokenizer.decode(expected);
    expect(text.replaceAll(/\s+/gu, '')).toContain(second.answer.replaceAll(/\s+/gu, ''));
    context.close();
    whole.close();
    await model.close();
  }));

it('is as before after a question that was cancelled, failed or forgotten', () =>
  withTempDir(async (dir) => {
    const file = join(dir, 'a.txt');
    writeFileSync(file, 'It was so.\n');
    const open = (): Promise<Conversation> => Conversation.open(request(file), device, never, () => undefined);
    const plain = await open();
    const expected: unknown[] = [];
    for (const question of ['Who?', 'Why?']) expected.push(told(await plain.ask(question, never, () => undefined)));
    await plain.close();

    const troubled = await open();
    const cancel = async (question: string): Promise<void> => {
      const abort = new AbortController();
      const asked = troubled.ask(question, abort.signal, (event) => {
        if (event.type === 'token') abort.abort(new Error('enough'));
      });
      await expect(asked).rejects.toThrow('enough');
    };
    await cancel('Where?');
    expect(troubled.tokens.dialogue).toBe(0);
    expect(told(await troubled.ask('Who?', never, () => undefined))).toEqual(expected[0]);
    await cancel('Where?');
    await expect(troubled.ask('so '.repeat(600), never, () => undefined)).rejects.toThrow('/forget');
    expect(told(await troubled.ask('Why?', never, () => undefined))).toEqual(expected[1]);
    troubled.forget();
    expect(told(await troubled.ask('Who?', never, () => undefined))).toEqual(expected[0]);
    await troubled.close();
  }));
