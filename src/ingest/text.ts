import type { TextEncoding } from './detect.js';
import { unreadable } from './name.js';
import type { Segment } from './segment.js';

/** The most characters of a segment of text, so that a citation points at a few lines and not at a chapter. */
export const segmentChars = 1500;

export interface DecodedText {
  /** Lines end with "\n". */
  readonly text: string;
  readonly warnings: readonly string[];
}

/** Decodes a text file; what had to be guessed or replaced is said in a warning. */
export function decodeText(bytes: Uint8Array, encoding: TextEncoding): DecodedText {
  const warnings: string[] = [];
  let text: string;
  if (encoding === 'windows-1252') {
    text = decodeWindows1252(bytes);
    warnings.push('it is not UTF-8 and was read as Latin-1 (Windows-1252)');
  } else {
    text = new TextDecoder(encoding).decode(bytes);
    if (encoding !== 'utf-8' && bytes[0] !== 0xff && bytes[0] !== 0xfe) {
      warnings.push(`it has no byte order mark and was read as ${encoding.toUpperCase()}`);
    }
    // Replacement characters that the file itself holds are rare enough to be counted with the rest.
    const replaced = count(text, '\ufffd');
    if (replaced > 0) {
      warnings.push(`it has ${replaced} ${replaced === 1 ? 'character' : 'characters'} that could not be decoded as ${encoding.toUpperCase()}`);
    }
  }
  const nuls = count(text, '\0');
  if (nuls > 0) {
    text = text.replaceAll('\0', '');
    warnings.push(nuls === 1 ? 'it has a NUL character, which was left out' : `it has ${nuls} NUL characters, which were left out`);
  }
  return { text: text.replace(/\r\n?/g, '\n'), warnings };
}

/**
 * Cuts a text into segments of whole consecutive lines, at paragraph ends where it can, up to `most` characters each.
 * A longer line is cut between words, each piece with the line's number. Nothing is dropped but blank lines at the
 * text's beginning and white space at its end, where one line end is put, so that the next source begins on a line of
 * its own: the segments' texts, concatenated, are the text.
 * @throws LodestoneError (unreadableInput) where there is nothing but white space.
 */
export function segmentText(path: string, source: number, text: string, most = segmentChars): Segment[] {
  const segments: Segment[] = [];
  let pending = '';
  let pendingLine = 0;
  /** Length of `pending` up to the end of its last finished paragraph. */
  let paragraphEnd = 0;
  let paragraphLine = 0;

  const flush = () => {
    if (pending !== '') {
      segments.push({ source, text: pending, line: pendingLine });
    }
    pending = '';
    paragraphEnd = 0;
  };

  const trimmed = text.trimEnd();
  const body = trimmed === '' ? '' : `${trimmed}\n`;
  let line = 0;
  for (let from = 0; from < body.length; ) {
    line++;
    const to = body.indexOf('\n', from) + 1;
    const content = body.slice(from, to);
    from = to;
    const blank = content.trim() === '';
    if (blank) {
      // Blank lines close a paragraph and stay with it; before the first paragraph there is nothing to stay with.
      if (pending !== '' || segments.length > 0) {
        if (pending === '') {
          const last = segments.pop()!;
          segments.push({ ...last, text: last.text + content });
        } else {
          pending += content;
          paragraphEnd = pending.length;
          paragraphLine = line + 1;
        }
      }
      continue;
    }
    if (pending !== '' && pending.length + content.length > most) {
      // The paragraph in progress moves on whole where what stays is not much less than a segment.
      const carry = paragraphEnd > most / 3 && paragraphEnd < pending.length ? pending.slice(paragraphEnd) : '';
      const carryLine = paragraphLine;
      pending = pending.slice(0, pending.length - carry.length);
      flush();
      pending = carry;
      pendingLine = carryLine;
      if (pending !== '' && pending.length + content.length > most) {
        flush();
      }
    }
    if (content.trimEnd().length > most) {
      flush();
      for (const piece of splitLongLine(content, most)) {
        segments.push({ source, text: piece, line });
      }
      continue;
    }
    if (pending === '') {
      pendingLine = line;
    }
    pending += content;
  }
  flush();
  if (segments.length === 0) {
    throw unreadable(path, 'holds nothing but white space');
  }
  return segments;
}

/**
 * Pieces of at most `most` characters (the line's end aside) that end after white space where there is some; no surrogate
 * pair is parted.
 */
function splitLongLine(line: string, most: number): string[] {
  const pieces: string[] = [];
  const length = line.trimEnd().length;
  let from = 0;
  while (length - from > most) {
    let to = from + most;
    for (let i = to; i > from + most / 2; i--) {
      if (/\s/.test(line.charAt(i - 1))) {
        to = i;
        break;
      }
    }
    if (to === from + most && line.charCodeAt(to - 1) >> 10 === 0x36) {
      to--;
    }
    pieces.push(line.slice(from, to));
    from = to;
  }
  pieces.push(line.slice(from));
  return pieces;
}

function count(text: string, char: string): number {
  let found = 0;
  for (let at = text.indexOf(char); at >= 0; at = text.indexOf(char, at + 1)) {
    found++;
  }
  return found;
}

/**
 * What 0x80-0x9f mean in Windows-1252, which is what "Latin-1" text nearly always is.
 * Written out, because TextDecoder('windows-1252') of some Node releases decodes ISO-8859-1 instead.
 */
const windows1252 =
  '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

function decodeWindows1252(bytes: Uint8Array): string {
  const latin1 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  return latin1.replace(/[\u0080-\u009f]/g, (c) => windows1252.charAt(c.charCodeAt(0) - 0x80));
}
