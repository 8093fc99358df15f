import { isUtf8 } from 'node:buffer';
import { extname } from 'node:path';
import { imageFormat, type ImageFormat } from './image.js';
import { unreadable } from './name.js';
import type { SourceKind } from './segment.js';

export type TextEncoding = 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';

export interface Detected {
  readonly kind: SourceKind;
  /** For text and Markdown. */
  readonly encoding?: TextEncoding;
  /** For images. */
  readonly format?: ImageFormat;
}

const readable = 'this version reads PDF, text, Markdown, images (PNG, JPEG, WebP, GIF), sound and video';

/** How much of a file is looked at to tell text from binary, bytes. */
const sampleBytes = 256 * 1024;

/**
 * Tells from the bytes what a source is. The name only chooses Markdown over plain text.
 * @throws LodestoneError (unreadableInput) that says what the file is, where it isn't something this version reads.
 */
export async function detect(path: string, bytes: Uint8Array): Promise<Detected> {
  if (bytes.length === 0) {
    throw unreadable(path, 'is empty');
  }
  if (isPdf(bytes)) {
    return { kind: 'pdf' };
  }
  const format = imageFormat(bytes);
  // A text may begin with the letters of a GIF; its header goes on with numbers.
  if (format !== undefined && (format !== 'GIF' || textEncoding(bytes) === undefined)) {
    return { kind: 'image', format };
  }
  if (isUtf32(bytes)) {
    throw unreadable(path, 'is text in UTF-32; convert it to UTF-8 (iconv -f UTF-32 -t UTF-8)');
  }
  const encoding = textEncoding(bytes);
  const refusedText = encoding === undefined ? undefined : markupThatIsNoText(bytes);
  if (encoding === undefined || refusedText !== undefined) {
    throw unreadable(path, `is ${refusedText ?? (await nameOfBinary(bytes))}; ${readable}`);
  }
  if (encoding === 'windows-1252' && shareOf(bytes, (b) => b >= 0x80) > 0.3) {
    throw unreadable(path, 'is text in an encoding that could not be told; convert it to UTF-8 (iconv -t UTF-8)');
  }
  const markdown = ['.md', '.markdown', '.mdown'].includes(extname(path).toLowerCase());
  return { kind: markdown ? 'markdown' : 'text', encoding };
}

/** The header may stand anywhere in the first 1024 bytes (PDF 1.7, appendix H, note 13). */
function isPdf(bytes: Uint8Array): boolean {
  const all = asBuffer(bytes);
  const at = all.subarray(0, 1024).indexOf('%PDF-', 0, 'latin1');
  // A text about PDF may hold the header too, but then no objects follow.
  return at === 0 || (at > 0 && all.includes('endobj', at, 'latin1'));
}

function isUtf32(bytes: Uint8Array): boolean {
  const mark = bytes.length % 4 === 0 ? asBuffer(bytes.subarray(0, 4)).toString('hex') : '';
  return mark === 'fffe0000' || mark === '0000feff';
}

/** The encoding of a text, or undefined where the bytes aren't text. */
function textEncoding(bytes: Uint8Array): TextEncoding | undefined {
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xfe && !(c === 0 && d === 0)) {
    return 'utf-16le';
  }
  if (a === 0xfe && b === 0xff) {
    return 'utf-16be';
  }
  const sample = bytes.subarray(0, sampleBytes);
  const wide = utf16WithoutMark(sample);
  if (wide !== undefined) {
    return wide;
  }
  // One such byte may stray into any text; a binary has them everywhere.
  if (shareOf(sample, isNeverText) * sample.length > 1 + 0.002 * sample.length) {
    return undefined;
  }
  if (isUtf8(bytes)) {
    return 'utf-8';
  }
  // Broken UTF-8 (a log cut inside a character) stays UTF-8 where most of what isn't ASCII is well formed.
  return mostlyUtf8(sample) ? 'utf-8' : 'windows-1252';
}

/** Control bytes that no text file has reason to hold. Tab, line ends, form feed, backspace and escape may occur. */
function isNeverText(byte: number): boolean {
  return byte < 0x08 || (byte > 0x0d && byte < 0x20 && byte !== 0x1b) || byte === 0x0b || byte === 0x7f;
}

/** Western text in UTF-16 has a zero in nearly every second byte and nowhere else. */
function utf16WithoutMark(sample: Uint8Array): TextEncoding | undefined {
  if (sample.length < 8 || sample.length % 2 !== 0) {
    return undefined;
  }
  let even = 0;
  let odd = 0;
  for (let i = 0; i + 1 < sample.length; i += 2) {
    even += sample[i] === 0 ? 1 : 0;
    odd += sample[i + 1] === 0 ? 1 : 0;
  }
  const pairs = sample.length / 2;
  if (odd > 0.7 * pairs && even < 0.02 * pairs) {
    return 'utf-16le';
  }
  return even > 0.7 * pairs && odd < 0.02 * pairs ? 'utf-16be' : undefined;
}

function mostlyUtf8(sample: Uint8Array): boolean {
  let good = 0;
  let bad = 0;
  for (const char of new TextDecoder('utf-8').decode(sample)) {
    if (char === '\ufffd') {
      bad++;
    } else if (char > '\u007f') {
      good++;
    }
  }
  return good > 4 * bad;
}

/** Formats that are spelled in text characters but aren't text to a reader. */
function markupThatIsNoText(bytes: Uint8Array): string | undefined {
  const start = asBuffer(bytes.subarray(0, 16)).toString('latin1').replace(/^\u00ef\u00bb\u00bf/, '');
  if (start.startsWith('{\\rtf')) {
    return 'a Rich Text (RTF) document';
  }
  return start.startsWith('%!PS') ? 'a PostScript file' : undefined;
}

const families: Readonly<Record<string, string>> = {
  image: 'image',
  audio: 'audio file',
  video: 'video',
  font: 'font',
};

const documents: Readonly<Record<string, string>> = {
  docx: 'a Word document (DOCX)',
  xlsx: 'an Excel workbook (XLSX)',
  pptx: 'a PowerPoint presentation (PPTX)',
  odt: 'an OpenDocument text (ODT)',
  ods: 'an OpenDocument spreadsheet (ODS)',
  epub: 'an EPUB book',
  cfb: 'an old Office document (DOC, XLS or PPT)',
  exe: 'a Windows program',
  elf: 'a Linux program',
  macho: 'a macOS program',
  sqlite: 'an SQLite database',
};

/** "a PNG image", "a ZIP file", "a binary file". */
async function nameOfBinary(bytes: Uint8Array): Promise<string> {
  // A malformed archive may make the library throw; then the file is just binary.
  const { fileTypeFromBuffer } = await import('file-type');
  const type = await fileTypeFromBuffer(bytes.subarray(0, 1024 * 1024)).catch(() => undefined);
  if (type === undefined) {
    return 'a binary file';
  }
  const known = documents[type.ext];
  if (known !== undefined) {
    return known;
  }
  const short = type.ext.toUpperCase();
  // The letters whose names begin with a vowel: an MP3, an AVI, but a PNG.
  const article = /^[AEFHILMNORSX]/.test(short) ? 'an' : 'a';
  return `${article} ${short} ${families[type.mime.replace(/\/.*/, '')] ?? 'file'}`;
}

function shareOf(bytes: Uint8Array, test: (byte: number) => boolean): number {
  let count = 0;
  for (const byte of bytes) {
    count += test(byte) ? 1 : 0;
  }
  return count / bytes.length;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
