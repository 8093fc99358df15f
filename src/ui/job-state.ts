/** What the terminal shows of a long job that has no questions, such as a transcription or a download, as plain data. */
import { shortClock } from '../clock.js';
import type { PullProgress } from '../models/pull/pull.js';
import type { SpeechSegment } from '../speech/transcribe.js';
import { bytes, clean } from './format.js';

/** A line that will not change any more. */
export interface JobLine {
  /** In front, dim: a time, a sign. */
  readonly mark: string;
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'bad';
}

export interface JobProgress {
  /** What is being done, to what. */
  readonly doing: string;
  readonly done: number;
  /** null: it is not known how much there is. */
  readonly total: number | null;
  /** For people: how much of how much, rate, time that is left. */
  readonly facts: readonly string[];
}

export interface JobState {
  readonly finished: readonly JobLine[];
  readonly progress: JobProgress | null;
}

export const initialJobState: JobState = { finished: [], progress: null };

export function finish(state: JobState, ...lines: JobLine[]): JobState {
  return { ...state, finished: [...state.finished, ...lines] };
}

/** Speech, as it comes: each sentence with the time when it was said. */
export function heardLines(segments: readonly SpeechSegment[]): JobLine[] {
  return segments.map(({ from, text }) => ({ mark: shortClock(from), text: text.trim(), tone: 'plain' }));
}

/** How fast something goes, and how long the rest takes. */
export interface Pace {
  readonly done: number;
  /** Infinity: nobody knows. */
  readonly total: number;
  /** A second. */
  readonly rate: number;
  /** Seconds; null: nobody knows. */
  readonly left: number | null;
}

/** @returns the pace at a time in ms, counted from the first call: what was there before came from an earlier run */
export function paceFrom(): (done: number, total: number, now: number) => Pace {
  let start: { readonly at: number; readonly done: number } | null = null;
  return (done, total, now) => {
    start ??= { at: now, done };
    const seconds = (now - start.at) / 1e3;
    const rate = seconds > 0 ? (done - start.done) / seconds : 0;
    return { done, total, rate, left: rate > 0 && total < Infinity ? Math.max(0, total - done) / rate : null };
  };
}

function leftOf({ left, done, total }: Pace): string[] {
  return left === null || done >= total ? [] : [`${shortClock(left)} left`];
}

/** Without a view: on one line. */
export function jobLine({ doing, done, total, facts }: JobProgress): string {
  const share = total === null ? [] : [`${Math.floor((100 * done) / Math.max(1, total))} %`];
  return clean([doing, ...share, ...facts].join('  '));
}

/** In seconds of sound. */
export function listening(name: string, pace: Pace): JobProgress {
  const { done, total, rate } = pace;
  const known = total < Infinity;
  const facts = [`${shortClock(done)}${known ? ` / ${shortClock(total)}` : ''}`, ...(rate > 0 ? [`${rate.toFixed(1)}x`] : []), ...leftOf(pace)];
  return { doing: `listening to ${name}`, done, total: known ? total : null, facts };
}

/** In bytes of all files. */
export function pulling({ file, done, total }: PullProgress, pace: Pace): JobProgress {
  return { doing: `pulling ${file}`, done, total, facts: [`${bytes(done)} / ${bytes(total)}`, ...(pace.rate > 0 ? [`${bytes(pace.rate)}/s`] : []), ...leftOf(pace)] };
}

/** Every file that is there is a line. */
export function pulled(state: JobState, progress: JobProgress): JobState {
  const before = state.progress?.doing;
  const next = before === undefined || before === progress.doing ? state : finish(state, fileThere(before));
  return { ...next, progress };
}

/** The last file is there, and with it all of it. */
export function pulledAll(state: JobState, text: string): JobState {
  const before = state.progress?.doing;
  return { ...finish(state, ...(before === undefined ? [] : [fileThere(before)]), { mark: '', text, tone: 'plain' }), progress: null };
}

function fileThere(doing: string): JobLine {
  return { mark: '✓', text: doing.slice('pulling '.length), tone: 'good' };
}
