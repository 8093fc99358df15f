/** PDFs written by hand, so that they can be wrong in just one way. */
import { deflateSync } from 'node:zlib';

/** An object's body, without "n 0 obj" and "endobj"; a Buffer where it holds a stream. */
type Body = string | Buffer;

/** Objects numbered from 1, of which the first is the catalog, with a correct table of them. */
export function pdfFile(objects: readonly Body[]): Buffer {
  const parts: Buffer[] = [Buffer.from('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n', 'latin1')];
  let length = parts[0]!.length;
  const offsets: number[] = [];
  for (const [i, body] of objects.entries()) {
    offsets.push(length);
    const bytes = typeof body === 'string' ? Buffer.from(body, 'latin1') : body;
    const object = Buffer.concat([Buffer.from(`${i + 1} 0 obj\n`), bytes, Buffer.from('\nendobj\n')]);
    parts.push(object);
    length += object.length;
  }
  const entries = offsets.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('');
  const size = objects.length + 1;
  parts.push(Buffer.from(`xref\n0 ${size}\n0000000000 65535 f \n${entries}trailer\n<</Size ${size}/Root 1 0 R>>\nstartxref\n${length}\n%%EOF\n`));
  return Buffer.concat(parts);
}

export function streamBody(data: Buffer, entries = ''): Buffer {
  return Buffer.concat([Buffer.from(`<</Length ${data.length}${entries}>>\nstream\n`), data, Buffer.from('\nendstream')]);
}

/** A stream that is small in the file and `data` when inflated. */
export function deflated(data: Buffer): Buffer {
  return streamBody(deflateSync(data, { level: 9 }), '/Filter/FlateDecode');
}

export interface SimplePdf {
  /** As /Count; the true number of pages by default. */
  readonly count?: number;
  readonly mediaBox?: string;
}

/** One page for each content stream, in Helvetica 12 as /F. Objects: 1 catalog, 2 pages, 3 font, then page and content. */
export function pdfOfContents(contents: readonly Buffer[], { count, mediaBox = '[0 0 612 792]' }: SimplePdf = {}): Buffer {
  const kids = contents.map((_, i) => `${4 + 2 * i} 0 R`).join(' ');
  return pdfFile([
    '<</Type/Catalog/Pages 2 0 R>>',
    `<</Type/Pages/Kids[${kids}]/Count ${count ?? contents.length}/MediaBox${mediaBox}/Resources<</Font<</F 3 0 R>>>>>>`,
    '<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>',
    ...contents.flatMap((content, i) => [`<</Type/Page/Parent 2 0 R/Contents ${5 + 2 * i} 0 R>>`, content]),
  ]);
}

/** A content stream that sets lines of text from the top left of a Letter page. */
export function linesOfText(lines: readonly string[]): Buffer {
  const shown = lines.map((line) => `(${line.replace(/[\\()]/g, '\\$&')}) Tj T*`).join('\n');
  return streamBody(Buffer.from(`BT /F 12 Tf 14 TL 72 720 Td\n${shown}\nET`, 'latin1'));
}

/** A page for each list of lines. */
export function pdfOfLines(pages: readonly (readonly string[])[], options?: SimplePdf): Buffer {
  return pdfOfContents(pages.map(linesOfText), options);
}
