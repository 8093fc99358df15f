/** The encoder and the decoder against transformers, on every device. */
import { afterAll, describe, expect, it } from 'vitest';
import { selectDevice } from '../../src/device/select.js';
import { cpuVariants } from '../../src/device/cpu/device.js';
import { mostLogitRows, openSpeechModel } from '../../src/speech/model.js';
import { floats, golden, largestDifference, randomWhisper } from './golden.js';

describe.each(['reference', ...(cpuVariants().length > 0 ? (['cpu'] as const) : [])] as const)('%s', async (name) => {
  const { device } = await selectDevice(name);
  const model = await openSpeechModel(randomWhisper, device);
  afterAll(async () => {
    model.close();
    expect(device.allocatedBytes).toBe(0);
    await device.close();
  });
  const { vocabSize } = model.config;
  const logits = floats(golden.logits);
  const wanted = (row: number): Float32Array => logits.subarray(row * vocabSize, (row + 1) * vocabSize);

  it('hears as transformers does', async () => {
    await model.listen(floats(golden.mel80));
    expect(largestDifference(await model.encoded(), floats(golden.encoder))).toBeLessThan(1e-4);
  });

  it.each([[1], [3, 1, 5], [2, 30], [40]])('writes as transformers does, tokens in pieces of %j', async (...sizes) => {
    const tokens = [...golden.tokens];
    for (let at = 0, i = 0; at < tokens.length; i++) {
      const piece = tokens.slice(at, at + sizes.flat()[i % sizes.flat().length]!);
      const rows = Math.min(mostLogitRows, piece.length);
      const got = await model.decode(piece, at, rows);
      at += piece.length;
      for (let r = 0; r < rows; r++) expect(largestDifference(got[r]!, wanted(at - rows + r)), `after ${at} tokens`).toBeLessThan(1e-4);
    }
  });

  it('looks where transformers looks', async () => {
    const got = await model.alignment(golden.tokens, model.config.sourcePositions);
    expect(got).toHaveLength(golden.alignment.length);
    for (const [i, attention] of got.entries()) expect(largestDifference(attention, floats(golden.alignment[i]!))).toBeLessThan(1e-5);
  });

  it('writes over what it wrote before', async () => {
    await model.decode([5, 6, 7], 0);
    const [again] = await model.decode(golden.tokens, 0);
    expect(largestDifference(again!, wanted(golden.tokens.length - 1))).toBeLessThan(1e-4);
  });

  it('refuses more tokens than it holds', async () => {
    await expect(model.decode([1], model.config.targetPositions)).rejects.toThrow(RangeError);
  });
});
