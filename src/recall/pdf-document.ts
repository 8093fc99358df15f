/**
 * Text as a PDF and back, so that what is measured includes the PDF reader. The writer knows one font and one column: a
 * library would bring 24 MB for that.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ingest } from '../ingest/ingest.js';
import type { Prose } from './niah.js';
import type { TokenCounter } from './trial.js';

/** Courier: every character is 0.6 of its size wide. A4 in points. */
const PAGE = { width: 595, height: 842, left: 56, top: 780, size: 10, leading: 13, columns: 80, lines: 54 };

/** Windows-1252's characters beyond Latin-1 that prose has (WinAnsiEncoding, PDF 32000-1, annex D.2). */
const WIN_ANSI: ReadonlyMap<string, number> = new Map([
  ['\u20ac', 0x80], ['\u2026', 0x85], ['\u0152', 0x8c], ['\u2018', 0x91], ['\u2019', 0x92], ['\u201c', 0x93], ['\u201d', 0x94], ['\u2022', 0x95], ['\u2013', 0x96], ['\u2014', 0x97], ['\u0153', 0x9c],
]);

/** Lines of at most `PAGE.columns` characters, broken at spaces where there are any. */
function wrap(text: string): string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(/\s+/u)) {
      if (line !== '' && line.length + 1 + word.length > PAGE.columns) {
        lines.push(line);
        line = '';
      }
      line = line === '' ? word : `${line} ${word}`;
      for (; line.length > PAGE.columns; line = line.slice(PAGE.columns)) lines.push(line.slice(0, PAGE.columns));
    }
    return [...lines, line];
  });
}

/** A PDF string in hexadecimal; what the font has not becomes "?". */
function hexString(line: string): string {
  const bytes = Array.from(line, (c) => WIN_ANSI.get(c) ?? (c.codePointAt(0)! < 0x100 ? c.codePointAt(0)! : 0x3f));
  return `<${Buffer.from(bytes).toString('hex')}>`;
}

/** A document of the text's lines, set in Courier. */
export function writePdf(text: string): Buffer {
  const lines = wrap(text);
  const pages = Array.from({ length: Math.max(1, Math.ceil(lines.length / PAGE.lines)) }, (_, i) => lines.slice(i * PAGE.lines, (i + 1) * PAGE.lines));
  // 1: catalogue, 2: page tree, 3: font, then two objects a page.
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Kids [${pages.map((_, i) => `${4 + 2 * i} 0 R`).join(' ')}] /Count ${pages.length} >>`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>',
  ];
  for (const [i, page] of pages.entries()) {
    const content = `BT /F1 ${PAGE.size} Tf ${PAGE.leading} TL ${PAGE.left} ${PAGE.top} Td\n${page.map((line) => `${hexString(line)} Tj T*`).join('\n')}\nET`;
    objects.push(
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${PAGE.width} ${PAGE.height}] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + 2 * i} 0 R >>`,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    );
  }
  let file = '%PDF-1.4\n';
  const offsets = objects.map((object, i) => {
    const at = file.length;
    file += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = offsets.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('');
  const xref = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  // All of it is ASCII.
  return Buffer.from(file, 'latin1');
}

/** The text as the PDF reader finds it. Errors: those of `ingest`. */
export async function throughPdf(text: string, signal?: AbortSignal): Promise<string> {
  const dir = await mkdtemp(path.join(os.tmpdir(), 'lodestone-needle-'));
  try {
    const file = path.join(dir, 'haystack.pdf');
    await writeFile(file, writePdf(text));
    const sources = await ingest([file], signal ? { signal } : {});
    return sources.flatMap(({ segments }) => segments.map((segment) => segment.text)).join('');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Characters of prose that are set to see what lines do to the count. */
const SAMPLE = 6000;
/** Other parts of the prose may take a little more. */
const MARGIN = 0.97;

/** Tokens of a text as a share of those of its PDF: line ends take some. */
export async function pdfShare(prose: Prose, count: TokenCounter): Promise<number> {
  const sample = prose.text.slice(0, SAMPLE);
  return MARGIN * Math.min(1, (await count(sample)) / Math.max(1, await count(await throughPdf(sample))));
}
