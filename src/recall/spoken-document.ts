/** A document as somebody says it, recorded and heard again, so that what is measured includes the hearing. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { cite } from '../answer/citations.js';
import type { IngestedSource, Times } from '../ingest/segment.js';
import { isHit } from './scoring.js';
import type { Speaker } from './speech-clips.js';

/** Listens to a recording. Errors: those of `ingest`. */
export type Hear = (file: string, signal?: AbortSignal) => Promise<IngestedSource>;

/** What says documents, and what hears them. */
export interface Hearing {
  readonly speaker: Pick<Speaker, 'record'>;
  readonly hear: Hear;
}

export interface HeardDocument {
  readonly source: IngestedSource;
  /** When each piece was really said, in seconds. */
  readonly said: readonly Times[];
}

/** Errors: those of `Speaker.record` and of hearing. */
export async function throughSpeech(pieces: readonly string[], { speaker, hear }: Hearing, signal?: AbortSignal): Promise<HeardDocument> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'lodestone-needle-'));
  try {
    const file = path.join(dir, 'haystack.wav');
    const said = await speaker.record(pieces, file, signal);
    return { source: await hear(file, signal), said };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** What hearing did to one question. */
export interface HeardAnswer {
  /** What is asked for is in the transcript: what is missed nevertheless, the model that reads has missed. */
  readonly transcribed: boolean;
  /** Seconds from the needle's true beginning to that of the place which is cited for the answer; null: none was. */
  readonly seconds_off: number | null;
}

/** @param truth when the needle was said */
export function heardAnswer({ source }: HeardDocument, truth: Times, { question, expected }: { readonly question: string; readonly expected: readonly string[] }, answer: string): HeardAnswer {
  const text = source.segments.map((segment) => segment.text).join('');
  const [citation] = answer === '' ? [] : cite(question, answer, [source]);
  return {
    transcribed: expected.every((one) => isHit(text, one)),
    seconds_off: citation?.time ? Math.abs(citation.time[0] - truth[0]) : null,
  };
}
