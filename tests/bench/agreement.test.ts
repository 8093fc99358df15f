import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compareLogits, divergence } from '../../src/bench/agreement.js';
import { writeRandomGguf } from '../../src/bench/random-gguf.js';
import { openModelFiles } from '../../src/runtime/model.js';
import { storedBytes } from '../../src/weights/blocks.js';

const logs = (...probabilities: number[]): Float32Array => Float32Array.from(probabilities, (p) => Math.log(p) + 3);

it('measures the divergence of two distributions, whatever is added to their logits', () => {
  const p = logs(0.5, 0.25, 0.25);
  const q = Float32Array.from([0.25, 0.25, 0.5], Math.log);
  // 1/2 ln 2 + 1/4 ln 1 + 1/4 ln 1/2
  expect(divergence(p, q)).toBeCloseTo(0.25 * Math.log(2), 6);
  expect(divergence(p, p)).toBe(0);
  // A logit of 1,000 does not overflow.
  expect(divergence(Float32Array.of(1000, 0), Float32Array.of(1000, 0))).toBe(0);
});

it('counts the positions that agree', () => {
  const same = logs(0.6, 0.3, 0.1);
  const other = logs(0.3, 0.6, 0.1);
  const agreement = compareLogits([same, same, same, other], [same, same, same, same]);
  expect([agreement.positions, agreement.top1]).toEqual([4, 0.75]);
  // ln 0.6 - ln 0.3.
  expect(agreement.topGapMax).toBeCloseTo(Math.log(2), 5);
  expect(agreement.klMax).toBeCloseTo(0.3 * Math.log(2), 6);
  expect(agreement.klMean).toBeCloseTo(agreement.klMax / 4, 9);
  expect(agreement.largestDifference).toBeCloseTo(Math.log(2), 5);
  expect(compareLogits([same], [same]).deviation).toBeCloseTo(0.738, 3);
});

it.each(['f32', 'bf16', 'f16', 'q8_0', 'q4_0'] as const)('writes a file of %s weights that opens', async (format) => {
  const folder = mkdtempSync(join(tmpdir(), 'lodestone-agree-'));
  const path = join(folder, 'random.gguf');
  const shape = { name: 'small', layers: 6, hiddenSize: 32, intermediateSize: 64, heads: 2, kvHeads: 1, headDim: 32, vocabSize: 512, window: 8 };
  await writeRandomGguf(path, shape, format, ({ type, shape: sizes }) => new Uint8Array(storedBytes(type, sizes.reduce((a, b) => a * b, 1))));
  const { config, places } = await openModelFiles(path);
  expect(config.layers.map(({ kind }) => kind).lastIndexOf('global')).toBe(5);
  expect(places.layers[0]!.q.format).toBe(format);
  expect(places.embedding.format).toBe(format === 'q4_0' ? 'q8_0' : format);
  rmSync(folder, { recursive: true });
});
