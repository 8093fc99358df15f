import { deflateRawSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { detect } from '../../src/ingest/detect.js';
import { refusal } from './support.js';

const bytes = (text: string, encoding: BufferEncoding = 'utf8') => Buffer.from(text, encoding);

/** A ZIP archive of one entry, which is how an office document begins. */
function zipOf(name: string, content: string): Buffer {
  const data = deflateRawSync(Buffer.from(content));
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(8, 8);
  header.writeUInt32LE(data.length, 18);
  header.writeUInt32LE(content.length, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), data]);
}

const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

describe('what a source is, by its content', () => {
  it('text, whatever the name', async () => {
    expect(await detect('a.txt', bytes('Hello, world.\n'))).toEqual({ kind: 'text', encoding: 'utf-8' });
    expect(await detect('a.pdf', bytes('No PDF at all.\n'))).toEqual({ kind: 'text', encoding: 'utf-8' });
    expect(await detect('noname', bytes('x'))).toEqual({ kind: 'text', encoding: 'utf-8' });
    expect(await detect('a.png', bytes('# Not an image\n'))).toEqual({ kind: 'text', encoding: 'utf-8' });
  });
  it('Markdown, by the name', async () => {
    for (const name of ['a.md', 'A.MD', 'b.markdown', 'dir/c.mdown']) {
      expect((await detect(name, bytes('# Title\n'))).kind).toBe('markdown');
    }
  });
  it('PDF, whatever the name and after some junk', async () => {
    expect(await detect('a.txt', bytes('%PDF-1.4\n'))).toEqual({ kind: 'pdf' });
    expect(await detect('a.md', Buffer.concat([Buffer.alloc(700, 0xff), bytes('%PDF-1.4\n1 0 obj\nendobj\n')]))).toEqual({ kind: 'pdf' });
  });
  it('a text about PDF', async () => {
    expect((await detect('a.txt', bytes('A PDF begins with %PDF-1.4 and a line end.\n'))).kind).toBe('text');
  });
  it('source code, terminal colours, one stray control byte', async () => {
    expect((await detect('a', bytes('\u001b[31mred\u001b[0m\n'))).kind).toBe('text');
    expect((await detect('a', bytes(`${'words and more words\n'.repeat(10)}\u0000`))).kind).toBe('text');
  });
});

describe('encodings', () => {
  const western = 'Größe, façade, naïve: twelve words that all read well in the West.\n';
  const encoding = async (content: Uint8Array) => (await detect('a.txt', content)).encoding;
  it('UTF-8 with and without a byte order mark', async () => {
    expect(await encoding(bytes(western))).toBe('utf-8');
    expect(await encoding(bytes(`\ufeff${western}`))).toBe('utf-8');
    expect(await encoding(bytes('漢字仮名交じり文。\n'))).toBe('utf-8');
  });
  it('UTF-8 cut inside a character', async () => {
    expect(await encoding(bytes('Ångström, Übergröße, œuvre, 漢字').subarray(0, -1))).toBe('utf-8');
  });
  it('UTF-16 of both orders, with and without a mark', async () => {
    const little = bytes(western, 'utf16le');
    const big = Buffer.from(little).swap16();
    expect(await encoding(little)).toBe('utf-16le');
    expect(await encoding(big)).toBe('utf-16be');
    expect(await encoding(Buffer.concat([Buffer.from([0xff, 0xfe]), bytes('漢字', 'utf16le')]))).toBe('utf-16le');
    expect(await encoding(Buffer.concat([Buffer.from([0xfe, 0xff]), bytes('漢字', 'utf16le').swap16()]))).toBe('utf-16be');
  });
  it('Latin-1', async () => {
    expect(await encoding(bytes(western, 'latin1'))).toBe('windows-1252');
  });
  it('an eight-bit encoding that could be anything', async () => {
    const koi8 = Buffer.from('f0d2c9d7c5d420cdc9d2'.repeat(20), 'hex');
    expect(await refusal(detect('koi8.txt', koi8), 'koi8.txt')).toMatch(/encoding.*UTF-8/);
  });
});

describe('images by their first bytes, whatever the name says', () => {
  it.each([
    ['picture.txt', png, 'PNG'],
    ['a.png', Buffer.from('ffd8ffe000104a464946', 'hex'), 'JPEG'],
    ['a.bin', Buffer.concat([Buffer.from('GIF89a'), Buffer.alloc(20, 1)]), 'GIF'],
    ['a', Buffer.concat([Buffer.from('RIFF\u0000\u0001\u0000\u0000WEBPVP8 ', 'latin1'), Buffer.alloc(20, 1)]), 'WebP'],
  ])('%s', async (name, content, format) => {
    expect(await detect(name, content)).toEqual({ kind: 'image', format });
  });
  it('a text about GIFs is a text', async () => {
    expect(await detect('a.txt', bytes('GIF89a is the name of a format.\n'))).toEqual({ kind: 'text', encoding: 'utf-8' });
  });
});

describe('what this version does not read is called by its name', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty.txt', Buffer.alloc(0), /is empty/],
    ['zeros.txt', Buffer.alloc(4096), /a binary file/],
    ['picture.bmp', Buffer.concat([Buffer.from('BM'), Buffer.alloc(400, 1)]), /a BMP image/],
    ['archive.txt', gzipSync('x'.repeat(4000)), /a GZ file/],
    ['report.docx', zipOf('word/document.xml', '<w:document/>'), /a Word document|a ZIP file/],
    ['old.doc', Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(1024)]), /an old Office document/],
    ['letter.txt', bytes('{\\rtf1\\ansi Dear reader}'), /Rich Text/],
    ['figure.ps', bytes('%!PS-Adobe-3.0\n'), /PostScript/],
    ['program', Buffer.concat([Buffer.from('7f454c46020101', 'hex'), Buffer.alloc(600, 1)]), /a Linux program/],
    ['utf32.txt', Buffer.concat([Buffer.from('fffe0000', 'hex'), Buffer.from('41000000', 'hex')]), /text in UTF-32; convert/],
  ];
  it.each(cases)('%s', async (name, content, message) => {
    expect(await refusal(detect(name, content), name)).toMatch(message);
  });
  it('junk of every kind of byte', async () => {
    const junk = Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919 + 13) % 256);
    expect(await refusal(detect('junk.txt', junk), 'junk.txt')).toMatch(/reads PDF, text, Markdown, images/);
  });
  it('a name with a line break and escapes stays one line', async () => {
    expect(await refusal(detect('a\nb\u001b[31m.txt', Buffer.alloc(0)), 'a\\x0ab\\x1b[31m.txt')).toMatch(/is empty/);
  });
});
