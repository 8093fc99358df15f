/**
 * What the decoder may write next. Times come in pairs around pieces of speech, never go back, and where the times together
 * are likelier than any one text, a time is written.
 * Source: Whisper's `decoding.py`, transformers `WhisperTimeStampLogitsProcessor`.
 */
import type { SpeechTokens } from './config.js';

/** Forbidden logits become -Infinity. `written`: since the prompt's end. */
export function applyRules(logits: Float32Array, written: readonly number[], tokens: SpeechTokens): void {
  const { end, firstTime, suppressed, suppressedFirst, latestStart } = tokens;
  const forbid = (from: number, to: number): void => void logits.fill(-Infinity, Math.max(0, from), Math.max(0, to));
  for (const id of suppressed) logits[id] = -Infinity;
  // Everything between the end and the times is for prompts.
  forbid(end + 1, firstTime);
  if (written.length === 0) {
    for (const id of suppressedFirst) logits[id] = -Infinity;
    forbid(0, firstTime);
    forbid(firstTime + latestStart + 1, logits.length);
    return;
  }
  const isTime = (id: number | undefined): boolean => id !== undefined && id >= firstTime;
  const [last, before] = [written.at(-1), written.at(-2)];
  const opened = isTime(last) && (written.length === 1 || isTime(before));
  const closed = isTime(last) && !opened;
  if (opened) forbid(firstTime, logits.length);
  if (closed) forbid(0, end);
  const latest = written.findLast(isTime);
  // A piece of speech may begin when the last one ends, but takes some time itself.
  if (latest !== undefined) forbid(firstTime, closed ? latest : latest + 1);
  if (likelierTime(logits, firstTime)) forbid(0, firstTime);
}

function likelierTime(logits: Float32Array, firstTime: number): boolean {
  const text = largest(logits.subarray(0, firstTime));
  const times = logits.subarray(firstTime);
  const most = largest(times);
  if (most === -Infinity) return false;
  let sum = 0;
  for (const logit of times) sum += Math.exp(logit - most);
  return most + Math.log(sum) > text;
}

export function largest(values: Float32Array): number {
  let most = -Infinity;
  for (const value of values) if (value > most) most = value;
  return most;
}
