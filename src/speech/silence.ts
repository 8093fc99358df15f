/** Where there is nothing to hear. A speech model, given silence, makes something up. */
import { sampleRate } from '../encode/log-mel.js';

/** Of a block's root mean square, relative to full scale: -55 dB, below what a quiet voice in a quiet room records. */
const silentBelow = 10 ** (-55 / 20);
/** Samples: 20 ms. */
const block = sampleRate / 50;

/** Samples before the first block that is not silent: all of them where none is. */
export function leadingSilence(samples: Float32Array): number {
  for (let from = 0; from < samples.length; from += block) {
    const to = Math.min(samples.length, from + block);
    let squares = 0;
    for (let i = from; i < to; i++) squares += samples[i]! ** 2;
    if (squares > (to - from) * silentBelow ** 2) return from;
  }
  return samples.length;
}
