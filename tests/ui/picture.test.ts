/** The picture at a citation, decoded again from what was written: by other programs where there are any. */
import path from 'node:path';
import headless from '@xterm/headless';
import sharp from 'sharp';
import { decode } from 'sixel';
import { describe, expect, it } from 'vitest';
import { spawn as spawnPty } from '@lydell/node-pty';
import { packageRoot } from '../../src/paths.js';
import { createRandom } from '../../src/random.js';
import { drawPicture, fitCells } from '../../src/ui/picture/draw.js';
import { chooseLook, readAnswer, type PictureFormat, type PictureLook } from '../../src/ui/picture/terminal.js';
import { citedImage } from '../../src/answer/cited-image.js';
import { colourAt, fields } from './picture-fields.js';

const cell = { width: 10, height: 20 };
const cells = { columns: 40, rows: 12 };

function look(format: PictureFormat, colourBits = 24): PictureLook {
  return { format, colourBits, cell };
}

/** In the middle of each field: what scaling does to edges is its own business. */
function expectFields(at: (x: number, y: number) => ArrayLike<number>, tolerance: number): void {
  for (const [x, y] of [[0.2, 0.2], [0.8, 0.2], [0.2, 0.8], [0.8, 0.8]] as const) {
    for (const [i, value] of colourAt(x, y).entries()) expect(Math.abs(at(x, y)[i]! - value), `${x}, ${y}`).toBeLessThanOrEqual(tolerance);
  }
}

async function expectPng(png: Buffer): Promise<void> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, info.channels]).toEqual([400, 240, 3]);
  expectFields((x, y) => data.subarray(3 * (Math.floor(y * 240) * 400 + Math.floor(x * 400))), 0);
}

/** The sequences of kitty's protocol in a text, put together. */
function kittyPng(text: string): { head: string; png: Buffer } {
  // oxlint-disable-next-line no-control-regex -- kitty's graphics commands
  const commands = [...text.matchAll(/\u001b_G([^;]*);([^\u001b]*)\u001b\\/gu)];
  expect(commands.map(([, keys]) => /m=(\d)/u.exec(keys!)![1])).toEqual([...commands.slice(1).map(() => '1'), '0']);
  expect(Math.max(...commands.map(([, , data]) => data!.length))).toBeLessThanOrEqual(4096);
  return { head: commands[0]![1]!, png: Buffer.from(commands.map(([, , data]) => data!).join(''), 'base64') };
}

describe('a picture', () => {
  it('is a PNG for iTerm2', async () => {
    const text = await drawPicture(fields(400, 240), look('iterm2'), cells);
    // oxlint-disable-next-line no-control-regex -- OSC 1337
    const [, size, data] = /^\u001b\]1337;File=inline=1;size=(\d+);width=40;height=12;preserveAspectRatio=0:([A-Za-z0-9+/=]+)\u0007$/u.exec(text)!;
    const png = Buffer.from(data!, 'base64');
    expect(png.length).toBe(Number(size));
    await expectPng(png);
  });
  it('is a PNG in parts for kitty', async () => {
    const noisy = fields(400, 240);
    // So that it takes several parts.
    const random = createRandom(1);
    for (let i = 0; i < 9000; i++) noisy.data[i] = Math.floor(256 * random());
    const { head, png } = kittyPng(await drawPicture(noisy, look('kitty'), cells));
    expect(head).toContain('c=40,r=12');
    expect(png.length).toBeGreaterThan(4096);
    await expectPng(png);
  });
  it('is sixel, which its decoder reads', async () => {
    const text = await drawPicture(fields(400, 240), look('sixel'), cells);
    expect(text).toMatch(/q"1;1;400;240#/u);
    // Its decoder makes a picture a little wider than it says.
    const { width, height, data32 } = decode(Buffer.from(text));
    expect([width >= 400 && width < 404, height]).toEqual([true, 240]);
    const bytes = new Uint8Array(data32.buffer, data32.byteOffset, data32.byteLength);
    // Sixel's colours are in percent.
    expectFields((x, y) => bytes.subarray(4 * (Math.floor(y * 240) * width + Math.floor(x * 400))), 3);
  });
  it.each([24, 8])('is half blocks in colours of %i bits', async (bits) => {
    const terminal = new headless.Terminal({ cols: 60, rows: 20, allowProposedApi: true });
    const text = await drawPicture(fields(400, 240), look('blocks', bits), cells);
    await new Promise<void>((resolve) => terminal.write(text.replaceAll('\n', '\r\n'), resolve));
    const colour = (value: number): number[] => (bits === 24 ? [value >> 16, (value >> 8) & 255, value & 255] : ({ 196: [255, 0, 0], 46: [0, 255, 0], 21: [0, 0, 255], 231: [255, 255, 255] }[value] ?? []));
    expectFields((x, y) => {
      const half = Math.floor(y * 24);
      const shown = terminal.buffer.active.getLine(half >> 1)!.getCell(Math.floor(x * 40))!;
      expect(shown.getChars()).toBe('▀');
      return colour(half % 2 === 0 ? shown.getFgColor() : shown.getBgColor());
    }, 0);
    expect(terminal.buffer.active.getLine(0)!.getCell(40)!.isBgDefault()).toBe(true);
  });
  it('is shades where there are no colours', async () => {
    const rows = (await drawPicture(fields(400, 240), look('shades', 1), cells)).split('\n');
    expect([rows.length, rows[0]!.length]).toEqual([12, 40]);
    expect([rows[2]![8], rows[2]![32], rows[9]![8], rows[9]![32]]).toEqual(['░', '▓', ' ', '█']);
  });
  it('keeps its shape, and is not made larger than it is', () => {
    expect(fitCells({ width: 4000, height: 2000 }, { cell }, { columns: 78, rows: 14 })).toEqual({ columns: 56, rows: 14 });
    expect(fitCells({ width: 4000, height: 100 }, { cell }, { columns: 78, rows: 14 })).toEqual({ columns: 78, rows: 1 });
    expect(fitCells({ width: 40, height: 40 }, { cell }, { columns: 78, rows: 14 })).toEqual({ columns: 4, rows: 2 });
  });
});

describe('the terminal', () => {
  it('is believed when it says what it can, and nothing of the keys is lost', () => {
    expect(readAnswer('ab\u001b[6;18;9t\u001b[?62;4;22cx\u001b[A')).toEqual({ answer: { sixel: true, cell: { width: 9, height: 18 } }, keys: 'abx\u001b[A' });
    expect(readAnswer('\u001b[?1;2c')).toEqual({ answer: { sixel: false, cell: null }, keys: '' });
    expect(readAnswer('\u001b[6;0;0t\u001b[?64c').answer).toEqual({ sixel: false, cell: null });
    expect(readAnswer('q')).toEqual({ answer: null, keys: 'q' });
    expect(chooseLook(null, { sixel: true, cell: null }, 24).format).toBe('sixel');
    expect([24, 8, 4, 1].map((bits) => chooseLook(null, null, bits).format)).toEqual(['blocks', 'blocks', 'shades', 'shades']);
  });
  const plain = { COLORTERM: 'truecolor' };
  it.each([
    ['kitty', { ...plain, KITTY_WINDOW_ID: '1' }, '', /\u001b_Gf=100,a=T/u],
    ['one that says it knows sixel', plain, '\u001b[?62;4c', /\u001bP0;1;q"1;1;/u],
    // It says nothing, and what is behind it counts for nothing; Node takes it to have 256 colours.
    ['one in tmux', { ...plain, KITTY_WINDOW_ID: '1', TMUX: '/tmp/tmux' }, '', /\u001b\[38;5;196;48;5;196m▀/u],
  ] as const)('shows it above the conversation: %s', { timeout: 60_000 }, async (_, env, answer, picture) => {
    const terminal = new headless.Terminal({ cols: 80, rows: 30, allowProposedApi: true });
    const all: NodeJS.ProcessEnv = { PATH: process.env['PATH'], TERM: 'xterm-256color', NODE_ENV: 'production', ...env };
    const pty = spawnPty(process.execPath, ['--import', 'tsx', path.join(packageRoot, 'tests', 'ui', 'picture-run.ts')], { cols: 80, rows: 30, env: all, cwd: packageRoot });
    let raw = '';
    let pressed = 0;
    let answered = false;
    pty.onData((data) => {
      raw += data;
      terminal.write(data);
      if (!answered && answer !== '' && raw.includes('\u001b[c')) {
        answered = true;
        pty.write(`x${answer}`);
      }
      if (pressed === 0 && raw.includes('Tab')) pressed = (pty.write('\t'), 1);
      else if (pressed === 1 && picture.test(raw) && raw.lastIndexOf('Esc closes') > raw.search(picture)) {
        // The x is taken back first: Ctrl-D leaves from an empty line.
        pressed = answer === '' ? 3 : 2;
        pty.write(answer === '' ? '\u0004' : '\u0015');
      } else if (pressed === 2) pressed = (pty.write('\u0004'), 3);
    });
    expect(await new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)))).toBe(0);
    await new Promise<void>((resolve) => terminal.write('', resolve));
    const text = Array.from({ length: terminal.buffer.active.length }, (_line, i) => terminal.buffer.active.getLine(i)!.translateToString(true)).join('\n');
    expect(text).toContain('[1] film.mp4, 01:15\n');
    expect(raw.match(new RegExp(picture, 'gu'))!.length).toBeGreaterThanOrEqual(1);
    // What was pressed while the terminal was asked is in the line.
    if (answer !== '') expect(raw).toMatch(/> .*x/u);
    // oxlint-disable-next-line no-control-regex -- clearing the screen or its history
    expect(raw).not.toMatch(/\u001b\[[23]J/u);
  });
});

it('is that of the page, or the last one before the time', () => {
  const [a, b] = [fields(2, 2), fields(4, 4)];
  const source = { path: 'x', kind: 'pdf', bytes: 1, sha256: '' } as const;
  const pages = [{ source, segments: [{ source: 0, text: 'words', page: 1 }, { source: 0, text: '', page: 2, image: a }], warnings: [] }];
  const cited = (place: object): Parameters<typeof citedImage>[0] => ({ source: 'x', quote: '', verified: false, ...place });
  expect([1, 2].map((page) => citedImage(cited({ page }), pages))).toEqual([null, a]);
  const film = [{ source, segments: [{ source: 0, text: '', time: [0, 4] as const, image: a }, { source: 0, text: 'said', time: [2, 6] as const }, { source: 0, text: '', time: [4, 9] as const, image: b }], warnings: [] }];
  expect([1, 3.9, 4, 20].map((time) => citedImage(cited({ time: [time, time + 1] }), film))).toEqual([a, a, b, b]);
  expect(citedImage(cited({ source: 'y', page: 2 }), pages)).toBe(null);
});
