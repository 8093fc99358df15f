import { describe, expect, it } from 'vitest';
import { Fft, isSmooth } from '../../src/encode/fft.js';
import { LogMel, sampleRate, whisperFrames } from '../../src/encode/log-mel.js';
import { randomFloats } from '../device/cases.js';
import { floats, golden, largestDifference, talkSamples } from '../speech/golden.js';

describe('the transform', () => {
  it.each([1, 2, 3, 8, 30, 31, 400, 512])('of %i values is the sum that defines it', (n) => {
    const [real, imaginary] = [Float64Array.from(randomFloats(n, 1)), Float64Array.from(randomFloats(n, 2))];
    const [outReal, outImaginary] = [new Float64Array(n), new Float64Array(n)];
    new Fft(n).transform(real, imaginary, outReal, outImaginary);
    for (let k = 0; k < n; k++) {
      let [a, b] = [0, 0];
      for (let j = 0; j < n; j++) {
        const angle = (-2 * Math.PI * j * k) / n;
        a += real[j]! * Math.cos(angle) - imaginary[j]! * Math.sin(angle);
        b += real[j]! * Math.sin(angle) + imaginary[j]! * Math.cos(angle);
      }
      expect(Math.abs(outReal[k]! - a) + Math.abs(outImaginary[k]! - b)).toBeLessThan(1e-11);
    }
  });
  it('says which lengths it takes', () => expect([400, 512, 37, 74, 1023].map(isSmooth)).toEqual([true, true, false, false, true]));
  it('refuses a large prime', () => expect(() => new Fft(37).transform(new Float64Array(37), new Float64Array(37), new Float64Array(37), new Float64Array(37))).toThrow(/37/));
});

describe('log-mel', () => {
  it("is that of Whisper's feature extractor", async () => {
    const samples = (await talkSamples()).subarray(0, golden.seconds * sampleRate);
    const frames = (golden.seconds * sampleRate) / whisperFrames.hop;
    expect(largestDifference(new LogMel(80).features(samples, frames), floats(golden.mel80))).toBeLessThan(1e-5);
    const every = Array.from({ length: frames / 10 }, (_, i) => i * 10);
    const wide = new LogMel(128).features(samples, frames);
    expect(largestDifference(every.flatMap((f) => [...wide.subarray(f * 128, (f + 1) * 128)]), floats(golden.mel128))).toBeLessThan(1e-5);
  });
  it("is that of the feature extractor with other frames", async () => {
    const { hop, length, mel } = golden.otherFrames;
    const samples = (await talkSamples()).subarray(0, golden.seconds * sampleRate);
    expect(largestDifference(new LogMel(80, { hop, length }).features(samples, (golden.seconds * sampleRate) / hop), floats(mel))).toBeLessThan(1e-5);
  });
  it('takes what is missing for silence, and silence for the floor', () => {
    const mel = new LogMel(80);
    const short = randomFloats(1000, 3);
    const padded = new Float32Array(3200);
    padded.set(short);
    expect(mel.features(short, 20)).toEqual(mel.features(padded, 20));
    expect(new Set(mel.features(new Float32Array(0), 5))).toEqual(new Set([(-10 + 4) / 4]));
    expect(mel.features(padded, 21).length).toBe(21 * 80);
  });
});
