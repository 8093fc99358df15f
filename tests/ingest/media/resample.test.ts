import { describe, expect, it } from 'vitest';
import { resample } from '../../../src/ingest/media/resample.js';
import { randomizer } from '../../device/cases.js';
import { join, largestDifference } from '../../speech/golden.js';

const tone = (rate: number, hertz: number, seconds: number): Float32Array => Float32Array.from({ length: Math.round(rate * seconds) }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / rate));

async function* pieces(samples: Float32Array, sizes: () => number): AsyncGenerator<Float32Array> {
  for (let at = 0; at < samples.length; ) {
    const size = sizes();
    yield samples.subarray(at, at + size);
    at += size;
  }
}

const all = (samples: Float32Array, from: number, to = 16_000, sizes = () => 4096): Promise<Float32Array> => join(resample(pieces(samples, sizes), from, to));
/** Without the ends, where the silence around it is heard. */
const middle = (samples: Float32Array): Float32Array => samples.subarray(1000, -1000);

describe('resampling', () => {
  it.each([8000, 11_025, 22_050, 44_100, 48_000, 96_000])('a tone of 1 kHz from %i Hz keeps its shape, phase and length', async (rate) => {
    const heard = tone(rate, 1000, 0.5);
    const got = await all(heard, rate);
    expect(got.length).toBe(Math.ceil((heard.length * 16_000) / rate));
    expect(largestDifference(middle(got).subarray(0, 6000), middle(tone(16_000, 1000, 0.5)))).toBeLessThan(1e-4);
  });
  it('keeps 7 kHz, and folds nothing back from above 8 kHz', async () => {
    expect(largestDifference(middle(await all(tone(48_000, 7000, 0.5), 48_000)), middle(tone(16_000, 7000, 0.5)))).toBeLessThan(1e-3);
    for (const hertz of [8100, 9000, 15_000, 23_000]) {
      expect(Math.max(...middle(await all(tone(48_000, hertz, 0.5), 48_000))), String(hertz)).toBeLessThan(1.5e-4);
    }
  });
  it('gives the same whatever pieces it comes in', async () => {
    const random = randomizer(5);
    const samples = Float32Array.from({ length: 5000 }, random);
    const whole = await all(samples, 44_100, 16_000, () => 5000);
    expect(await all(samples, 44_100, 16_000, () => 1)).toEqual(whole);
    expect(await all(samples, 44_100, 16_000, () => 1 + Math.floor((random() + 1) * 50))).toEqual(whole);
  });
  it('takes sounds of a few samples, and none', async () => {
    expect((await all(Float32Array.of(1), 48_000)).length).toBe(1);
    expect((await all(Float32Array.of(1, 1, 1), 8000)).length).toBe(6);
    expect((await all(new Float32Array(0), 48_000)).length).toBe(0);
    expect(await all(Float32Array.of(1, 2), 16_000)).toEqual(Float32Array.of(1, 2));
  });
});
