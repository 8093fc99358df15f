/** Speech models repeat themselves on silence, noise and music. How that is noticed. */
import { deflateSync } from 'node:zlib';

/** Text that deflates to less than 1 / 2.4 of itself says the same again and again (Whisper's own threshold). */
export const mostCompression = 2.4;

export function compressionRatio(text: string): number {
  const bytes = Buffer.from(text);
  return bytes.length === 0 ? 1 : bytes.length / deflateSync(bytes).length;
}

/** A longer run of tokens said over and over is a refrain rather than a fault. */
const longestPeriod = 24;
/** People do say things three times. */
const fewestTimes = 4;
const fewestTokens = 20;

/**
 * The run of tokens that the end of `tokens` repeats: its length and how much of the end is made of it, the first time
 * included; null where the end is no such repetition.
 */
export function repeatedEnd(tokens: readonly number[]): { readonly period: number; readonly length: number } | null {
  for (let period = 1; period <= longestPeriod; period++) {
    let length = period;
    while (length < tokens.length && tokens.at(-1 - length) === tokens.at(-1 - length + period)) length++;
    if (length >= Math.max(fewestTokens, period * fewestTimes)) return { period, length };
  }
  return null;
}
