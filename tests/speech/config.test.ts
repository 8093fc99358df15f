/** What a speech model's folder says, and what is refused. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSpeechConfig } from '../../src/speech/config.js';
import { randomWhisper } from './golden.js';

const dir = mkdtempSync(path.join(os.tmpdir(), 'lodestone-speech-'));
cpSync(randomWhisper, dir, { recursive: true });
afterAll(() => rmSync(dir, { recursive: true }));
const preprocess = (config: unknown): void => writeFileSync(path.join(dir, 'preprocessor_config.json'), JSON.stringify(config));

describe('heads that follow the sound', () => {
  const generation = JSON.parse(readFileSync(path.join(randomWhisper, 'generation_config.json'), 'utf8')) as object;
  const heads = async (named: unknown): Promise<unknown> => {
    writeFileSync(path.join(dir, 'generation_config.json'), JSON.stringify({ ...generation, alignment_heads: named }));
    return (await openSpeechConfig(dir)).alignmentHeads;
  };
  const upper = [[1, 0], [1, 1], [2, 0], [2, 1]];
  it.each([
    ['as named', [[2, 1]], [[2, 1]]],
    ['those of a larger model, which a distilled one may still name, are left out', [[7, 0], [2, 0], [2, 9]], [[2, 0]]],
    ['where none of them is there, all of the upper half', [[7, 0], [10, 17]], upper],
    ['where none is named, too', null, upper],
    ['nor in an empty list', [], upper],
  ])('%s', async (_, named, expected) => expect(await heads(named)).toEqual(expected));
  it('that can not be are refused', async () => {
    for (const named of ['x', [[1]], [[1, -1]], [[0.5, 0]], [[1, 0], null]]) await expect(heads(named)).rejects.toThrow(/alignment_heads is .*, not a list/u);
    await heads([[1, 0]]);
  });
});

describe('frames', () => {
  it("are Whisper's where nothing is said, and else what preprocessor_config.json says", async () => {
    expect(await openSpeechConfig(randomWhisper)).toMatchObject({ frames: { hop: 160, length: 400 }, secondsPerPosition: 0.02 });
    preprocess({ sampling_rate: 16_000, n_fft: 512, hop_length: 320, chunk_length: 10, feature_size: 80 });
    expect(await openSpeechConfig(dir)).toMatchObject({ frames: { hop: 320, length: 512 }, secondsPerPosition: 0.04 });
  });
  it('are read where transformers 5 writes them', async () => {
    rmSync(path.join(dir, 'preprocessor_config.json'));
    writeFileSync(path.join(dir, 'processor_config.json'), JSON.stringify({ feature_extractor: { n_fft: 512, hop_length: 256 }, processor_class: 'WhisperProcessor' }));
    expect(await openSpeechConfig(dir)).toMatchObject({ frames: { hop: 256, length: 512 } });
  });
  it.each([
    [{ sampling_rate: 8000 }, /sampling_rate .* is 8000, not 16000/u],
    [{ n_fft: 401 }, /n_fft .* odd/u],
    [{ n_fft: 12 * 37 }, /n_fft .* large prime/u],
    [{ n_fft: 1e9 }, /n_fft .* not a whole number/u],
    [{ n_fft: 0 }, /n_fft/u],
    [{ hop_length: 0 }, /hop_length/u],
    [{ hop_length: 500 }, /hop_length .* from 1 to 400/u],
    [{ hop_length: '160' }, /hop_length/u],
  ])('that can not be are refused: %j', async (config, message) => {
    preprocess(config);
    await expect(openSpeechConfig(dir)).rejects.toThrow(message);
  });
});
