/** A document as somebody says it, recorded and heard again, so that what is measured includes the hearing. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { IngestedSource } from '../ingest/segment.js';
import type { RecordedDocument } from './recorded.js';
import type { Speaker } from './speech-clips.js';

/** Listens to a recording. Errors: those of `ingest`. */
export type Hear = (file: string, signal?: AbortSignal) => Promise<IngestedSource>;

/** What says documents, and what hears them. */
export interface Hearing {
  readonly speaker: Pick<Speaker, 'record'>;
  readonly hear: Hear;
}

/** Errors: those of `Speaker.record` and of hearing. */
export async function throughSpeech(pieces: readonly string[], { speaker, hear }: Hearing, signal?: AbortSignal): Promise<RecordedDocument> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'lodestone-needle-'));
  try {
    const file = path.join(dir, 'haystack.wav');
    const times = await speaker.record(pieces, file, signal);
    return { source: await hear(file, signal), times };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
