/** What a speech model's folder says, and what is refused. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSpeechConfig } from '../../src/speech/config.js';
import { randomWhisper } from './golden.js';

const dir = mkdtempSync(path.join(os.tmpdir(), 'lodestone-speech-'));
cpSync(randomWhisper, dir, { recursive: true });
afterAll(() => rmSync(dir, { recursive: true }));
const preprocess = (config: unknown): void => writeFileSync(path.join(dir, 'preprocessor_config.json'), JSON.stringify(config));

describe('frames', () => {
  it("are Whisper's where nothing is said, and else what preprocessor_config.json says", async () => {
    expect(await openSpeechConfig(randomWhisper)).toMatchObject({ frames: { hop: 160, length: 400 }, secondsPerPosition: 0.02 });
    preprocess({ sampling_rate: 16_000, n_fft: 512, hop_length: 320, chunk_length: 10, feature_size: 80 });
    expect(await openSpeechConfig(dir)).toMatchObject({ frames: { hop: 320, length: 512 }, secondsPerPosition: 0.04 });
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
