/** A speech model as what hears documents: as `ingest` does, but that nothing understood is no error here. */
import { stat } from 'node:fs/promises';
import { defaultLimits } from '../ingest/limits.js';
import { listen } from '../ingest/media/listen.js';
import { openRecording } from '../ingest/media/open.js';
import { speechSegments } from '../ingest/media/speech-segments.js';
import type { SpeechSegment } from '../speech/transcribe.js';
import type { Transcriber } from '../speech/transcriber.js';
import { sha256OfFiles } from '../weights/hash.js';
import type { Hear } from './spoken-document.js';

export function hearWith(transcriber: Transcriber): Hear {
  return async (file, signal) => {
    const recording = await openRecording(file, signal);
    const sha256 = await sha256OfFiles([file], signal);
    const pieces: SpeechSegment[] = [];
    const whole = { range: { from: 0, to: Infinity }, signal, stallMs: defaultLimits.mediaStallMs };
    for await (const { segments } of listen(transcriber, recording, sha256, whole)) pieces.push(...segments);
    return { source: { path: file, kind: 'audio', bytes: (await stat(file)).size, sha256 }, segments: speechSegments(0, pieces), warnings: [] };
  };
}
