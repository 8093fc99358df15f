/** A transcript as files: plain text, SubRip, WebVTT. */
import type { SpeechSegment } from './transcribe.js';

/** 3723.4567 s -> 01:02:03.457, with the given mark before the milliseconds. */
export function clock(seconds: number, mark: ',' | '.'): string {
  const milliseconds = Math.max(0, Math.round(seconds * 1000));
  const part = (value: number, digits: number): string => String(Math.floor(value)).padStart(digits, '0');
  const whole = milliseconds / 1000;
  return `${part(whole / 3600, 2)}:${part((whole / 60) % 60, 2)}:${part(whole % 60, 2)}${mark}${part(milliseconds % 1000, 3)}`;
}

export type TranscriptFormat = 'txt' | 'srt' | 'vtt' | 'json' | 'jsonl';
export const transcriptFormats: readonly TranscriptFormat[] = ['txt', 'srt', 'vtt', 'json', 'jsonl'];

/** What stands before the first segment. */
export function opening(format: TranscriptFormat): string {
  return format === 'vtt' ? 'WEBVTT\n\n' : '';
}

/** One segment; `number` counts from 1. In `json` there is nothing before the end. */
export function formatSegment(segment: SpeechSegment, number: number, format: TranscriptFormat): string {
  const { from, to } = segment;
  // A blank line would end a cue, and so would an arrow a line of text.
  const text = segment.text.replaceAll(/\s*\n\s*/g, ' ').replaceAll('-->', '->');
  switch (format) {
    case 'txt':
      return `${text}\n`;
    case 'srt':
      return `${number}\n${clock(from, ',')} --> ${clock(to, ',')}\n${text}\n\n`;
    case 'vtt':
      return `${clock(from, '.')} --> ${clock(to, '.')}\n${escapeVtt(text)}\n\n`;
    case 'jsonl':
      return `${JSON.stringify({ type: 'segment', ...segment })}\n`;
    case 'json':
      return '';
  }
}

function escapeVtt(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
