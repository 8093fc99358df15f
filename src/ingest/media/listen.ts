/** A recording's speech, and what of it could not be heard. */
import type { Transcriber } from '../../speech/transcriber.js';
import { shortClock } from '../../clock.js';
import type { TranscribedWindow } from '../../speech/transcribe.js';
import type { DecodeOptions } from './media.js';
import type { Recording } from './open.js';

/** A recording that ends so much before it says it does has lost something: seconds, and share of its length. */
const missed = { seconds: 1, share: 0.02 };

/**
 * The windows of `Transcriber.transcribe`; at the end, a sound that is shorter than the file says goes to `onDamage`, as do
 * places where the model repeated itself.
 */
export async function* listen(transcriber: Transcriber, recording: Recording, sha256: string, options: DecodeOptions): AsyncGenerator<TranscribedWindow> {
  const { range, onDamage } = options;
  const end = Math.min(range.to, recording.seconds ?? Infinity);
  let { from: heard } = range;
  const repeated: string[] = [];
  for await (const window of transcriber.transcribe(recording, sha256, options)) {
    if (window.repeated) repeated.push(shortClock(heard));
    ({ heard } = window);
    yield window;
  }
  if (repeated.length > 0) onDamage?.(`the speech model repeated itself from ${repeated.slice(0, 5).join(', ')}${repeated.length > 5 ? ` and ${repeated.length - 5} more` : ''}; what it repeated is kept once`);
  if (end < Infinity && end - heard > Math.max(missed.seconds, missed.share * end)) {
    onDamage?.(`its sound ends at ${shortClock(heard)}, though ${shortClock(end)} were to be heard: it is cut short or damaged`);
  }
}
