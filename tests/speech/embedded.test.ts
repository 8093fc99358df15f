/** The speech model of the package, where its weights are: what it is sure of, and that it is quiet where nobody speaks. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { wordErrorRate, wordErrors } from '../../src/bench/word-errors.js';
import type { Device } from '../../src/device/device.js';
import { selectDevice } from '../../src/device/select.js';
import { sampleRate } from '../../src/encode/log-mel.js';
import { decodeWhole, openSpeechClips } from '../../src/recall/speech-clips.js';
import { speechClips } from '../../src/recall/plan.js';
import { embeddedSpeechDir } from '../../src/paths.js';
import { openSpeechModel, type SpeechModel } from '../../src/speech/model.js';
import { transcribe, type SpeechSegment } from '../../src/speech/transcribe.js';
import { randomFloats } from '../device/cases.js';
import { talkSamples } from './golden.js';

describe.skipIf(!existsSync(path.join(embeddedSpeechDir, 'model.safetensors')))('the embedded speech model', () => {
  let device: Device;
  let model: SpeechModel;
  beforeAll(async () => {
    ({ device } = await selectDevice('auto'));
    model = await openSpeechModel(embeddedSpeechDir, device);
  });
  afterAll(async () => {
    model.close();
    await device.close();
  });
  const hear = async (samples: Float32Array): Promise<SpeechSegment[]> => {
    const segments: SpeechSegment[] = [];
    const sound = (async function* () {
      yield samples;
    })();
    for await (const window of transcribe(model, sound)) segments.push(...window.segments);
    return segments;
  };

  it('hears a voice that it knows, word for word, in its time', async () => {
    const segments = await hear(await talkSamples());
    expect(segments.map(({ text }) => text).join(' ')).toMatch(/the access code is seven four two/iu);
    expect(segments[0]!.from).toBeLessThan(0.5);
    expect(segments.at(-1)!.to).toBeLessThan(3.8);
  });

  it('hears most words of voices that it does not know, when they are said', async () => {
    const { needles } = openSpeechClips(speechClips);
    const some = needles.slice(0, 8);
    const sound = (await decodeWhole(path.join(speechClips, 'needles.ogg'))).subarray(0, Math.round((some.at(-1)!.to + 0.3) * sampleRate));
    const segments = await hear(sound);
    expect(wordErrorRate([wordErrors(some.map(({ text }) => text).join(' '), segments.map(({ text }) => text).join(' '))])).toBeLessThan(0.3);
    for (const clip of some) expect(Math.min(...segments.map(({ from }) => Math.abs(from - clip.from))), clip.text).toBeLessThan(1);
  });

  it('writes nothing for noise', async () => {
    expect((await hear(randomFloats(15 * sampleRate, 1, 0.05))).map(({ text }) => text).join(' ')).toBe('');
  });
});
