import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { selectDevice } from '../../src/device/select.js';
import { encodePlain } from '../../src/encode/prompt.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { checkPerplexity } from '../../src/recall/gate.js';
import { fitPowerLaw, haystackLoss, lossPoints, tokenLosses } from '../../src/recall/perplexity.js';
import { Context } from '../../src/runtime/context.js';
import { logProbability } from '../../src/device/sampling.js';
import { openModel } from '../../src/runtime/model.js';

/** Of an independent fit (fixtures/README.md). */
const { powerlaw_noiseless: law } = JSON.parse(readFileSync(path.join(packageRoot, 'fixtures', 'recall', 'scoring.json'), 'utf8')) as {
  powerlaw_noiseless: { x: number[]; y: number[]; alpha: number; beta: number; gamma: number };
};

describe('the power law', () => {
  it('is found again without noise', () => {
    const { a, b, c, r2 } = fitPowerLaw(law.x, law.y)!;
    expect(a).toBeCloseTo(law.alpha, 4);
    expect(b).toBeCloseTo(law.beta, 5);
    expect(c).toBeCloseTo(law.gamma, 4);
    expect(r2).toBeCloseTo(1, 9);
  });
  it('is not guessed from too little', () => {
    expect(fitPowerLaw([1, 2, 4], [3, 2, 1])).toBeNull();
    expect(fitPowerLaw([1, 2, 4, 8], [3, 3, 3, 3])).toBeNull();
    expect(fitPowerLaw([128, 256, 512, 1024], [3, 4, 2, 3])!.r2).toBeLessThan(1);
  });
});

it('points are means from the start, over the texts that are so long', () => {
  const ramp = Float64Array.from({ length: 300 }, (_, i) => i);
  const flat = new Float64Array(200).fill(7);
  expect(lossPoints([ramp, flat])).toEqual([
    { tokens: 128, loss: (127 / 2 + 7) / 2, texts: 2 },
    { tokens: 256, loss: 255 / 2, texts: 1 },
    { tokens: 300, loss: 299 / 2, texts: 1 },
  ]);
  expect(lossPoints([flat])).toEqual([{ tokens: 128, loss: 7, texts: 1 }, { tokens: 200, loss: 7, texts: 1 }]);
  expect(lossPoints([])).toEqual([]);
});

it('the gate takes a better perplexity for an error, too', () => {
  expect(checkPerplexity({ before: 2, now: 2 }, 0).passed).toBe(true);
  for (const now of [2.01, 1.99]) expect(checkPerplexity({ before: 2, now }, 0.001).passed).toBe(false);
  expect(checkPerplexity({ before: 2, now: 2.01 }, 0.02)).toMatchObject({ passed: true, message: expect.stringMatching(/a change of 1\.005 %; the most, either way, is 2 %/u) as string });
});

it('losses are those of reading token after token, past the window', async () => {
  const { device } = await selectDevice('auto');
  const model = await openModel(embeddedModelDir, device);
  const text = readFileSync(path.join(packageRoot, 'fixtures', 'handbook.txt'), 'utf8');
  const ids = await encodePlain(text, model.tokenizer);
  expect(ids.length).toBeGreaterThan(model.config.window + 20);
  const losses = await tokenLosses(model, ids, { chunk: 50 });
  const context = new Context(model);
  const one: number[] = [];
  for (const [i, id] of ids.subarray(0, -1).entries()) one.push(-logProbability(await context.decode(id), ids[i + 1]!));
  expect([...losses]).toEqual(one);
  context.close();
  const { tokens, loss } = await haystackLoss(model, text);
  expect([tokens, loss]).toEqual([one.length, one.reduce((sum, value) => sum + value, 0) / one.length]);
  expect(await tokenLosses(model, ids.subarray(0, 1))).toHaveLength(0);
  await device.close();
});
