/** Documents that are recordings, of sound or a film: what is asked is asked of what was heard in them, or read in their pictures. */
import { cite } from '../answer/citations.js';
import type { IngestedSource, Times } from '../ingest/segment.js';
import { isHit } from './scoring.js';

export interface RecordedDocument {
  readonly source: IngestedSource;
  /** When each piece of the trial is really said or shown, in seconds. */
  readonly times: readonly Times[];
}

/** What hearing or seeing did to one question. */
export interface RecordedAnswer {
  /** What is asked for stands in the recording's text: what is missed nevertheless, the model that reads has missed. */
  readonly perceived: boolean;
  /** Seconds from the needle's true beginning to that of the place which is cited for the answer; null: none was. */
  readonly seconds_off: number | null;
}

/** @param truth when the needle is said or shown */
export function recordedAnswer({ source }: RecordedDocument, truth: Times, { question, expected }: { readonly question: string; readonly expected: readonly string[] }, answer: string): RecordedAnswer {
  const text = source.segments.map((segment) => segment.text).join('');
  const [citation] = answer === '' ? [] : cite(question, answer, [source]);
  return {
    perceived: expected.every((one) => isHit(text, one)),
    seconds_off: citation?.time ? Math.abs(citation.time[0] - truth[0]) : null,
  };
}
