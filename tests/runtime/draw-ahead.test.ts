/** Decoding that runs ahead: nothing that is computed and not wanted may show. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import { createReferenceDevice } from '../../src/device/reference/device.js';
import type { Sampling } from '../../src/device/sampling.js';
import { ExitCode } from '../../src/errors.js';
import { Context } from '../../src/runtime/context.js';
import { generate, type GeneratedToken, type GenerateEnd, type GenerateOptions } from '../../src/runtime/generate.js';
import { openFixture, someIds, type TestModel } from './fixture.js';
import { withSubmit } from '../../src/device/with-submit.js';

const reference = createReferenceDevice();
/** Steps of each submit that decodes. */
const submitted: number[] = [];
const ahead: Device = {
  ...withSubmit(reference, (commands, signal) => {
    const steps = commands.filter(({ op }) => op === 'sample').length;
    if (steps > 0) submitted.push(steps);
    return reference.submit(commands, signal);
  }),
  decodeSteps: 4,
};
let model: TestModel;
beforeAll(async () => {
  // Windows of 8: twelve tokens go around a ring.
  model = await openFixture(reference, ['local', 'global', 'local']);
});
afterAll(() => reference.close());

async function run(device: Device, options: GenerateOptions, chunk = 16) {
  submitted.length = 0;
  const context = new Context({ ...model, device }, { chunk });
  const tokens = generate(context, await context.prefill(someIds(30)), options);
  const text: GeneratedToken[] = [];
  let end: GenerateEnd;
  for (;;) {
    const { done, value } = await tokens.next();
    if (done) {
      end = value;
      break;
    }
    text.push(value);
  }
  return { context, text, end };
}

const hot: Sampling = { temperature: 3, topK: 40, seed: 4 };

it.each([{ sampling: { temperature: 0 }, maxTokens: 40 }, { sampling: hot, maxTokens: 23 }])('gives the tokens that are drawn one by one, in submits of several: %j', async (options) => {
  const slow = await run(reference, options);
  const fast = await run(ahead, options);
  expect([fast.text, fast.end]).toEqual([slow.text, slow.end]);
  expect(Math.max(...submitted)).toBe(4);
  // The first token comes from the prompt's logits; nothing beyond the last is computed.
  expect(submitted.reduce((sum, steps) => sum + steps, 0)).toBe(options.maxTokens - 1);
  expect(fast.context.tokens).toEqual(slow.context.tokens);
});

it.each([3, 4, 6, 9])('goes on rightly after a stop that is seen late, at token %i: the rings are as if nothing had been read ahead', async (at) => {
  const whole = await run(reference, { sampling: hot, maxTokens: 30 });
  const stop = [whole.text[at]!.id];
  const first = whole.text.findIndex(({ id }) => stop.includes(id));
  const stopped = await run(ahead, { sampling: hot, maxTokens: 30, stop });
  expect(stopped.text).toEqual(whole.text.slice(0, first));
  expect(stopped.end).toMatchObject({ reason: 'stop', stopId: stop[0] });
  // More was computed than is kept.
  expect(submitted.reduce((sum, steps) => sum + steps, 0)).toBeGreaterThan(first);
  const { context } = stopped;
  const mark = await context.mark();
  const next = someIds(20, 5);
  const fresh = new Context(model, { chunk: 16 });
  const expected = await fresh.prefill([...context.tokens, ...next]);
  expect(await context.prefill(next)).toEqual(expected);
  context.rewind(mark);
  expect(await context.prefill(next)).toEqual(expected);
});

it('keeps within the room that the rings have, and one by one where that is too little', async () => {
  const options = { sampling: hot, maxTokens: 20 };
  const { text } = await run(reference, options);
  expect((await run(ahead, options, 4)).text).toEqual(text);
  expect(Math.max(...submitted)).toBe(2);
  expect((await run(ahead, options, 1)).text).toEqual(text);
  expect(Math.max(...submitted)).toBe(1);
});

it('fails with the reason of an abort, and can go on afterwards', async () => {
  const controller = new AbortController();
  const { text } = await run(reference, { sampling: hot, maxTokens: 12 });
  const context = new Context({ ...model, device: ahead }, { chunk: 16 });
  const tokens = generate(context, await context.prefill(someIds(30)), { sampling: hot, signal: controller.signal });
  for (let i = 0; i < 3; i++) expect((await tokens.next()).value).toEqual(text[i]);
  controller.abort(new Error('enough'));
  await expect(tokens.next()).rejects.toThrow('enough');
  const { length } = context;
  expect(length).toBe(32);
  for (let i = 2; i < 8; i++) expect(await context.draw(text[i]!.id, { sampling: hot, step: i + 1, most: 10 })).toEqual(text[i + 1]);
});

it('says so where the logits stop being numbers', async () => {
  const spoiled: Device = {
    ...ahead,
    submit: (commands, signal) => ahead.submit(commands.filter((command) => !(command.op === 'matMul' && command.parts.some(({ out }) => out.buffer.label === 'logits'))), signal),
  };
  const context = new Context({ ...model, device: spoiled }, { chunk: 16 });
  await context.prefill(someIds(4), { logits: false });
  const drawn = await context.draw(5, { sampling: hot, step: 0, most: 3 });
  // Of zeros anything may be drawn: those are numbers.
  expect(drawn.id).toBeLessThan(512);
  const broken: Device = { ...ahead, read: async (from, bytes) => (from.buffer.label === 'drawn tokens' ? new Uint8Array(bytes).fill(255) : ahead.read(from, bytes)) };
  const other = new Context({ ...model, device: broken }, { chunk: 16 });
  await other.prefill(someIds(4), { logits: false });
  await expect(other.draw(5, { sampling: hot, step: 0, most: 3 })).rejects.toMatchObject({ exitCode: ExitCode.badModel });
});
