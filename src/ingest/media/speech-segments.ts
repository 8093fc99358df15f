/** Pieces of speech to segments of about a sentence each, with the time of every word. */
import type { SpeechSegment } from '../../speech/transcribe.js';
import type { Segment, TimedWord } from '../segment.js';

/** A pause after which something new begins, in seconds. */
const pause = 2;
/** Characters after which a segment ends, sentence or not. */
const most = 400;

/** What ends a sentence, with the marks that may close it. */
const sentenceEnd = /[.!?\u3002\uff01\uff1f]["'\u2019\u201d)\]]*$/u;

/** In the order of time; each ends its line, and their texts, concatenated, are the transcript. */
export function speechSegments(source: number, pieces: readonly SpeechSegment[]): Segment[] {
  const segments: Segment[] = [];
  let text = '';
  let words: TimedWord[] = [];
  let [from, to] = [0, 0];
  const flush = (): void => {
    if (text !== '') segments.push({ source, text: `${text}\n`, time: [from, to], words });
    text = '';
    words = [];
  };
  for (const piece of pieces) {
    if (text !== '' && (piece.from - to > pause || text.length + piece.text.length > most)) flush();
    if (text === '') from = piece.from;
    else text += ' ';
    words.push(...placeWords(piece, text.length));
    text += piece.text.replaceAll(/\s+/g, ' ');
    to = Math.max(from, piece.to);
    if (sentenceEnd.test(text)) flush();
  }
  flush();
  return segments;
}

/** Where a piece's words begin in a text that it follows after `offset` characters. */
function placeWords({ text, words }: SpeechSegment, offset: number): TimedWord[] {
  const plain = text.replaceAll(/\s+/g, ' ');
  let at = 0;
  return words.flatMap((word) => {
    const found = plain.indexOf(word.text.trim(), at);
    if (found < 0) return [];
    at = found + word.text.trim().length;
    return [{ at: offset + found, time: [word.from, word.to] as const }];
  });
}
