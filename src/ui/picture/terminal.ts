/**
 * What pictures a terminal can show. The environment names the terminals that are known; the others are asked, since many that know
 * sixel say so nowhere else.
 */
import type { ReadStream, WriteStream } from 'node:tty';
import { createSupportsTerminalGraphics } from 'supports-terminal-graphics';

/** blocks: half blocks in 24-bit or 256 colours. shades: no colours. */
export type PictureFormat = 'iterm2' | 'kitty' | 'sixel' | 'blocks' | 'shades';

export interface PictureLook {
  readonly format: PictureFormat;
  /** Bits of a colour: 24 or 8; what graphics need not. */
  readonly colourBits: number;
  /** Of a character, in pixels. */
  readonly cell: { readonly width: number; readonly height: number };
}

export interface TerminalAnswer {
  readonly sixel: boolean;
  readonly cell: PictureLook['cell'] | null;
}

const usualCell = { width: 10, height: 20 };

/** Of a terminal that does not answer. */
const patience = 200;

/** Primary device attributes (DA1), of which 4 is sixel, asked for last: every terminal answers it. */
const ASK_ATTRIBUTES = '\u001b[c';
/** XTWINOPS 16: the size of a character in pixels. */
const ASK_CELL = '\u001b[16t';
// oxlint-disable-next-line no-control-regex -- what terminals answer with
const ATTRIBUTES = /\u001b\[\?([\d;]*)c/u;
// oxlint-disable-next-line no-control-regex -- what terminals answer with
const CELL = /\u001b\[6;(\d{1,4});(\d{1,4})t/u;

/** The look of pictures on this terminal. Keys pressed while it is asked are not lost. */
export async function pictureLook(stdin: ReadStream, stdout: WriteStream, env: NodeJS.ProcessEnv = process.env): Promise<PictureLook> {
  const colourBits = stdout.getColorDepth(env);
  const known = graphicsOf(stdout, env);
  if (known === 'iterm2' || known === 'kitty') return { format: known, colourBits, cell: usualCell };
  return chooseLook(known, await askTerminal(stdin, stdout), colourBits);
}

export function chooseLook(known: 'sixel' | null, answer: TerminalAnswer | null, colourBits: number): PictureLook {
  const cell = answer?.cell ?? usualCell;
  if (known === 'sixel' || answer?.sixel === true) return { format: 'sixel', colourBits, cell };
  return { format: colourBits >= 8 ? 'blocks' : 'shades', colourBits, cell };
}

/** What the environment says of the terminal; in a multiplexer, it says it of the one behind. */
function graphicsOf(stdout: WriteStream, env: NodeJS.ProcessEnv): 'iterm2' | 'kitty' | 'sixel' | null {
  if (env['TMUX'] !== undefined || env['STY'] !== undefined || env['ZELLIJ'] !== undefined) return null;
  const { iterm2, kitty, sixel } = createSupportsTerminalGraphics(stdout);
  return iterm2 ? 'iterm2' : kitty ? 'kitty' : sixel ? 'sixel' : null;
}

/** Asks, and waits a moment. null: no answer. */
async function askTerminal(stdin: ReadStream, stdout: WriteStream): Promise<TerminalAnswer | null> {
  const raw = stdin.isRaw;
  let said = '';
  stdin.setRawMode(true);
  try {
    await new Promise<void>((resolve) => {
      const hear = (data: Buffer): void => {
        said += data.toString('latin1');
        if (ATTRIBUTES.test(said)) end();
      };
      const end = (): void => {
        clearTimeout(timer);
        stdin.off('data', hear);
        stdin.pause();
        resolve();
      };
      const timer = setTimeout(end, patience);
      stdin.on('data', hear);
      stdout.write(ASK_CELL + ASK_ATTRIBUTES);
    });
  } finally {
    stdin.setRawMode(raw);
  }
  const { answer, keys } = readAnswer(said);
  if (keys !== '') stdin.unshift(Buffer.from(keys, 'latin1'));
  return answer;
}

/** The answer in what came from the terminal, and what was not of it. */
export function readAnswer(said: string): { readonly answer: TerminalAnswer | null; readonly keys: string } {
  const [attributes, cell] = [ATTRIBUTES.exec(said), CELL.exec(said)];
  const keys = said.replace(ATTRIBUTES, '').replace(CELL, '');
  if (attributes === null) return { answer: null, keys };
  const [height, width] = [Number(cell?.[1] ?? 0), Number(cell?.[2] ?? 0)];
  return { answer: { sixel: attributes[1]!.split(';').includes('4'), cell: width > 0 && height > 0 ? { width, height } : null }, keys };
}
