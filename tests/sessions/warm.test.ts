/** The law: however a context has become warm, it gives the logits of a cold one, bit for bit. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PromptReader } from '../../src/answer/prompt-reader.js';
import type { Device } from '../../src/device/device.js';
import { createRandom, randomBelow } from '../../src/random.js';
import { Context } from '../../src/runtime/context.js';
import { imageTokens } from '../../src/sessions/prefix.js';
import { listSessions } from '../../src/sessions/store.js';
import { kvChoices, openFixture, someIds, withTempDir, workingDevices, type TestModel } from '../runtime/fixture.js';
import { encodeImages, openImageModel, readImageGolden } from '../runtime/image-fixture.js';
import { never, promptOf, readCold, readWith, sessionOf, someSource } from './support.js';

const devices = await workingDevices();
const [a, b, c] = [someSource(1, 14), someSource(2, 15), someSource(3, 13)] as const;
const questions = [1, 5, 8, 41].map((length, i) => someIds(length, 20 + i));

const patterns: Record<string, ('local' | 'global')[]> = {
  'as published: two locals above the global': ['local', 'local', 'local', 'local', 'local', 'global', 'local', 'local'],
  'last layer global': ['local', 'local', 'local', 'global'],
  'no global layer': ['local', 'local', 'local'],
};

describe.each(devices)('$name device', ({ name, create }) => {
  let device: Device;
  beforeAll(async () => {
    device = await create();
  });
  afterAll(() => device.close());

  // The reference device is slow.
  const fast = name === 'cpu';
  describe.each(Object.entries(patterns).filter(([pattern]) => fast || pattern === 'last layer global'))('%s', (_, kinds) => {
    let model: TestModel;
    beforeAll(async () => {
      const fixture = await openFixture(device, kinds);
      model = { ...fixture, config: { ...fixture.config, maxPositions: 4096 } };
    });

    it.each(fast ? kvChoices : kvChoices.slice(1, 2))('asks again in a new context, of more and of fewer sources: $local, $global', (kv) =>
      withTempDir(async (dir) => {
        const end = (sources: readonly number[][][]): number => 1 + sources.flat(2).length;
        const steps: [sources: number[][][], cached: number][] = [
          [[a, b], 0],
          [[a, b], end([a, b])],
          [[a, b, c], end([a, b])],
          [[a, b, c], end([a, b, c])],
          [[a, b], end([a, b])],
          [[a], end([a])],
          [[a, c], end([a])],
          [[b, a], 0],
        ];
        for (const [i, [sources, cached]] of steps.slice(0, fast ? 8 : 3).entries()) {
          const prompt = promptOf(sources, questions[i % questions.length]!);
          const warm = await readWith(dir, model, prompt, { kv, chunk: [16, 7, 64][i % 3]! });
          expect([i, warm.cached, warm.warnings]).toEqual([i, cached, []]);
          expect(warm.logits).toEqual(await readCold(model, prompt, { kv, chunk: 50 }));
        }
      }),
    );

    it('goes on from where reading was interrupted, in another context', () =>
      withTempDir(async (dir) => {
        const prompt = promptOf([a, b], questions[1]!);
        const expected = await readCold(model, prompt);
        for (const [i, done] of (fast ? [270, 300, 450, 560] : [270]).entries()) {
          const folder = join(dir, String(i));
          const abort = new AbortController();
          const session = await sessionOf(folder, prompt);
          const reader = await PromptReader.open(model, prompt, { chunk: 10, session }, abort.signal, () => undefined);
          const prefill = reader.context.prefill.bind(reader.context) as (ids: Uint32Array, options: object) => Promise<Float32Array>;
          // Stops as soon as so many positions are read.
          reader.context.prefill = ((ids: Uint32Array, options: { onProgress(done: number, total: number): void }) =>
            prefill(ids, {
              ...options,
              onProgress: (d: number, t: number) => {
                options.onProgress(d, t);
                if (reader.context.length >= done) abort.abort(new Error('enough'));
              },
            })) as Context['prefill'];
          await expect(reader.read()).rejects.toThrow('enough');
          const reached = reader.context.length;
          reader.context.close();
          await session.close();
          const warm = await readWith(folder, model, prompt, { chunk: 13 });
          expect(warm.logits).toEqual(expected);
          // Where layers above the last global one have skipped what the end needs, all is read again.
          expect([0, reached]).toContain(warm.cached);
          if (kinds.at(-1) === 'global') expect(warm.cached).toBe(reached);
        }
      }),
    );
  });
});

describe('on the fastest device', () => {
  const { create } = devices.at(-1)!;
  let device: Device;
  let model: TestModel;
  beforeAll(async () => {
    device = await create();
    const fixture = await openFixture(device, patterns['as published: two locals above the global']);
    model = { ...fixture, config: { ...fixture.config, maxPositions: 4096 } };
  });
  afterAll(() => device.close());

  it('gives the same logits through a hundred random lives', { timeout: 120_000 }, () =>
    withTempDir(async (dir) => {
      const cold = new Map<string, Promise<Float32Array>>();
      let warm = 0;
      for (let life = 0; life < 100; life++) {
        const random = createRandom(life);
        // Lives share folders, so that they meet what others have left.
        const folder = join(dir, String(life % 5));
        let sources = [a];
        for (let step = 0; step < 3; step++) {
          const kind = randomBelow(5, random);
          if (kind === 0) sources = [...sources, [a, b, c][randomBelow(3, random)]!].slice(0, 4);
          if (kind === 1) sources = sources.length > 1 ? sources.slice(0, -1) : [b];
          const prompt = promptOf(sources, questions[randomBelow(4, random)]!);
          const abort = new AbortController();
          if (kind === 2) setTimeout(() => abort.abort(new Error('enough')), randomBelow(12, random));
          const session = await sessionOf(folder, prompt);
          const reader = await PromptReader.open(model, prompt, { chunk: 5 + randomBelow(60, random), session }, abort.signal, () => undefined);
          const { context } = reader;
          const key = prompt.ids.join();
          if (!cold.has(key)) cold.set(key, readCold(model, prompt));
          try {
            await reader.readDocuments();
            const mark = await context.mark();
            // Another question first, and back.
            if (kind === 3) {
              await context.prefill(questions[randomBelow(4, random)]!, { signal: abort.signal });
              context.rewind(mark);
            }
            expect(await reader.read(), `life ${life}, step ${step}`).toEqual(await cold.get(key));
            if (reader.cached > 0) warm++;
          } catch (error) {
            expect((error as Error).message).toBe('enough');
          } finally {
            context.close();
            await session.close();
          }
        }
      }
      expect(warm).toBeGreaterThan(80);
    }),
  );

  it('keeps images with what was read, by what they show', () =>
    withTempDir(async (dir) => {
      const images = await openImageModel(device);
      const golden = readImageGolden();
      const soft = await encodeImages(images, golden.images);
      const { tokens, tokensPerImage } = images.vision;
      const run = [tokens.start, ...Array.from({ length: tokensPerImage }, () => tokens.soft), tokens.end];
      const text = someIds(150).map((id) => id % 256);
      const all = { ...promptOf([[text], [run], [text], [run]], [5, 6, 7]) };
      const shown = [0, 1].map((i) => ({ source: 1 + 2 * i, image: golden.images[i]!, box: null }));
      const prompt = { ...all, images: shown };
      const model = { ...images, config: { ...images.config, maxPositions: 1024 } };
      const encoded: string[] = [];
      const read = async (what: typeof prompt, with_: readonly Float32Array[]): Promise<[Float32Array, number]> => {
        const session = await sessionOf(dir, what, { imageTokens: imageTokens(model.config) });
        const encode = async (from: number, to: number): Promise<Float32Array[]> => {
          if (to > from) encoded.push(`${from}-${to}`);
          return with_.slice(from, to);
        };
        const reader = await PromptReader.open(model, what, { session, encode }, never, () => undefined);
        const logits = await reader.read();
        reader.context.close();
        await session.close();
        return [logits, reader.cached];
      };
      const cold = async (with_: readonly Float32Array[]): Promise<Float32Array> => {
        const context = new Context(model);
        const logits = await context.prefill(prompt.ids, { images: with_ });
        context.close();
        return logits;
      };
      expect(await read(prompt, soft)).toEqual([await cold(soft), 0]);
      expect(await read(prompt, soft)).toEqual([await cold(soft), prompt.sourceEnds.at(-1)]);
      expect(encoded).toEqual(['0-2']);
      // The same ids, but the second image is the first one now.
      const twice = { ...prompt, images: [shown[0]!, { ...shown[0]!, source: 3 }] };
      expect(await read(twice, [soft[0]!, soft[0]!])).toEqual([await cold([soft[0]!, soft[0]!]), prompt.sourceEnds[2]]);
      expect(encoded).toEqual(['0-2', '1-2']);
      images.encoder.close();
    }),
  );

  it('keeps another environment apart, and at most so many bytes, the last used', () =>
    withTempDir(async (dir) => {
      const read = async (sources: number[][][], more: object): Promise<number> => {
        const prompt = promptOf(sources, questions[0]!);
        const session = await sessionOf(dir, prompt, more);
        const reader = await PromptReader.open(model, prompt, { session }, never, () => undefined);
        await reader.read();
        reader.context.close();
        await session.close();
        return reader.cached;
      };
      const folder = join(dir, 'sessions');
      const size = (): number => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
      expect(await read([a, b], {})).toBe(0);
      expect(await read([a, b], { environment: 'f'.repeat(64) })).toBe(0);
      const cap = size();
      expect((await listSessions(folder)).sessions).toHaveLength(2);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await read([a, b], {})).toBeGreaterThan(0);
      expect(await read([c, a], { bytes: cap })).toBe(0);
      expect(size()).toBeLessThanOrEqual(cap);
      // The one of the other environment went first.
      expect(await read([a, b], {})).toBeGreaterThan(0);
      const before = size();
      await read([c, a, b], { bytes: 1000 });
      expect(size()).toBe(before);
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    }),
  );
});
