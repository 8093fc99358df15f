/** Guesses: what follows the text's end elsewhere in it. They change no token, and nothing that is wrong stays behind. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../../src/device/device.js';
import type { Sampling } from '../../src/device/sampling.js';
import { withSubmit } from '../../src/device/with-submit.js';
import { createRandom } from '../../src/random.js';
import { Context } from '../../src/runtime/context.js';
import type { DrawnToken } from '../../src/runtime/draw-ahead.js';
import { guess, mostGuesses } from '../../src/runtime/guess.js';
import { openModel } from '../../src/runtime/model.js';
import { openFixture, someIds, tinyDir, workingDevices, type TestModel } from './fixture.js';

describe('guess', () => {
  it.each([
    { ids: [], most: 3, expected: [] },
    { ids: [1], most: 3, expected: [] },
    { ids: [1, 2, 3, 4, 5], most: 3, expected: [] },
    // One equal token is none.
    { ids: [1, 2, 3, 9, 2], most: 3, expected: [] },
    { ids: [1, 2, 3, 4, 9, 1, 2], most: 3, expected: [3] },
    { ids: [1, 2, 3, 4, 5, 6, 9, 1, 2, 3], most: 3, expected: [4, 5] },
    { ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4], most: 3, expected: [5, 6, 7] },
    { ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4], most: 1, expected: [5] },
    { ids: [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4], most: 0, expected: [] },
    // The longer match, and of equals the later one.
    { ids: [7, 1, 2, 30, 1, 2, 40, 7, 1, 2], most: 3, expected: [30, 1] },
    { ids: [1, 2, 30, 1, 2, 40, 9, 1, 2], most: 3, expected: [40] },
    // What repeats itself goes on, as far as it is there.
    { ids: [5, 5, 5, 5], most: 3, expected: [5] },
    { ids: [1, 2, 1, 2, 1, 2], most: 3, expected: [1, 2] },
  ])('$ids -> $expected', ({ ids, most, expected }) => {
    expect([...guess(Uint32Array.from(ids), most)]).toEqual(expected);
  });

  it('is what a search through all places finds', () => {
    const random = createRandom(11);
    for (let trial = 0; trial < 500; trial++) {
      const ids = Uint32Array.from({ length: 2 + Math.floor(30 * random()) }, () => Math.floor(3 * random()));
      const equalAt = (at: number): number => {
        let equal = 0;
        while (equal < 8 && equal < at && ids[at - 1 - equal] === ids[ids.length - 1 - equal]) equal++;
        return equal;
      };
      let place = 0;
      for (let at = 1; at < ids.length; at++) if (equalAt(at) >= equalAt(place)) place = at;
      const expected = equalAt(place) < 2 ? [] : ids.slice(place, place + Math.min(mostGuesses, equalAt(place) - 1));
      expect([...guess(ids, 3)]).toEqual([...expected]);
    }
  });
});

describe.each(await workingDevices())('on $name', ({ name, create }) => {
  let device: Device;
  let model: TestModel;
  /** Draws of each submit that draws. */
  const submitted: number[] = [];
  beforeAll(async () => {
    device = await create();
    // Windows of 8, which guesses go around.
    model = await openFixture(device, ['local', 'global', 'local']);
  });
  afterAll(() => device.close());

  const counted = (): Device =>
    withSubmit(device, (commands, signal) => {
      const draws = commands.filter(({ op }) => op === 'sample').length;
      if (draws > 0) submitted.push(draws);
      return device.submit(commands, signal);
    });

  /** Draws after a text that repeats itself; `wanted` 1: nothing is guessed. */
  async function run(sampling: Sampling, count: number, wanted: number, chunk = 16) {
    submitted.length = 0;
    const context = new Context({ ...model, device: counted() }, { chunk });
    const phrase = someIds(9);
    await context.prefill([...phrase, ...phrase, ...phrase.slice(0, 5)], { logits: false });
    const drawn: DrawnToken[] = [];
    for (let step = 0, id = phrase[5]!; step < count; step++) {
      drawn.push(await context.draw(id, { sampling, step, most: Math.min(wanted, count - step) }));
      id = drawn.at(-1)!.id;
    }
    return { context, drawn };
  }

  // Of a model with random weights nearly all guesses are wrong.
  it.each([{ temperature: 0 }, { temperature: 0.4, seed: 3 }, { temperature: 3, topK: 40, seed: 4 }])('draws what is drawn one by one, %j', async (sampling) => {
    const one = await run(sampling, 60, 1);
    expect(submitted.every((draws) => draws === 1)).toBe(true);
    const some = await run(sampling, 60, Infinity);
    expect(some.drawn).toEqual(one.drawn);
    expect(some.context.tokens).toEqual(one.context.tokens);
    expect(Math.max(...submitted)).toBe(1 + mostGuesses);
    // Wrong guesses went into the rings and caches; what is read next sees nothing of them.
    const next = someIds(20, 5);
    expect(await some.context.prefill(next)).toEqual(await one.context.prefill(next));
  });

  it('guesses no more than a chunk holds, or is wanted', async () => {
    const { drawn } = await run({ temperature: 0 }, 30, 1);
    for (const chunk of [1, 2, 3]) {
      expect((await run({ temperature: 0 }, 30, Infinity, chunk)).drawn).toEqual(drawn);
      expect(Math.max(...submitted)).toBe(chunk);
    }
    expect((await run({ temperature: 0 }, 30, 2)).drawn).toEqual(drawn);
    expect(Math.max(...submitted)).toBe(2);
  });

  it.runIf(name === 'cpu')('draws a sentence that is repeated several tokens at a time, and the same', async () => {
    const embedded = await openModel(tinyDir, device);
    const ids = await embedded.tokenizer.encodeText('The captain of the survey ship Petrel is Anna Lind, who came from Bergen in 1911. '.repeat(4));
    const sampling = { temperature: 0 };
    const draws = async (wanted: number): Promise<DrawnToken[]> => {
      submitted.length = 0;
      const context = new Context({ ...embedded, device: counted() }, { chunk: 256 });
      await context.prefill(ids.slice(0, -2), { logits: false });
      const drawn: DrawnToken[] = [];
      for (let step = 0, id = ids.at(-2)!; step < 8; step++) {
        drawn.push(await context.draw(id, { sampling, step, most: Math.min(wanted, 8 - step) }));
        id = drawn.at(-1)!.id;
      }
      context.close();
      return drawn;
    };
    const one = await draws(1);
    expect(await draws(8)).toEqual(one);
    expect(submitted.length).toBeLessThan(5);
    expect(submitted.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(8);
    await embedded.close();
  });

  it('forgets the guesses when something else is drawn or read', async () => {
    const { context, drawn } = await run({ temperature: 0 }, 31, Infinity);
    const mark = await context.mark();
    const options = { sampling: { temperature: 0 }, step: 31, most: 9 };
    const first = await context.draw(drawn[30]!.id, options);
    await context.draw((first.id + 1) % model.config.vocabSize, { ...options, step: 32 });
    context.rewind(mark);
    expect(await context.draw(drawn[30]!.id, options)).toEqual(first);
  });
});
