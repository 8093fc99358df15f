/** The terminal's view of `chat` (Ink). In a pipe and with --plain, cli/chat.ts talks in lines instead. */
import { Box, render, Static, Text, useInput, useStdout } from 'ink';
import { useEffect, type JSX } from 'react';
import type { AskEvent } from '../answer/answer.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { Raster } from '../ingest/segment.js';
import { FinishedPart, Growing, MapRow, Reading } from './ask-parts.js';
import { reduceAsk, type Finished } from './ask-state.js';
import { parseChatLine } from './chat-commands.js';
import type { ChatSession } from './chat-session.js';
import { initialChatState, paneRows, pressKey, type Action, type ChatState, type Key, type Pane } from './chat-state.js';
import { bytes, clean } from './format.js';
import { drawPicture, fitCells } from './picture/draw.js';
import type { PictureLook } from './picture/terminal.js';
import { place } from './plain.js';

/** Of the screen's rows, that a picture may take. */
const PICTURE_SHARE = 0.6;

/** Rows of text in a pane: the screen is shared with the answer, and with border, title, input, map and keys. */
function paneHeight(rows: number): number {
  return Math.min(16, Math.floor(rows / 2) - 3);
}

function PaneView({ pane }: { readonly pane: Pane }): JSX.Element | null {
  const { stdout } = useStdout();
  const rows = paneHeight(stdout.rows || 24);
  const columns = Math.max(8, (stdout.columns || 80) - 4);
  if (rows < 1) return null;
  return (
    <Box flexDirection="column" borderStyle="round" borderDimColor paddingX={1}>
      <Text bold wrap="truncate-middle">
        {clean(pane.title)}
      </Text>
      {paneRows(pane, columns, rows).map(({ pieces }, i) => (
        <Text key={i} wrap="truncate">
          {pieces.length === 0 ? ' ' : pieces.map(({ text, marked }, j) => (
            <Text key={j} inverse={marked}>
              {clean(text)}
            </Text>
          ))}
        </Text>
      ))}
    </Box>
  );
}

/** The end of the line around the cursor, as much as fits. */
function InputLine({ input, cursor }: Pick<ChatState, 'input' | 'cursor'>): JSX.Element {
  const { stdout } = useStdout();
  const columns = Math.max(4, (stdout.columns || 80) - 4);
  const characters = [...clean(input)];
  const from = Math.max(0, cursor - columns + 1);
  return (
    <Text wrap="truncate">
      <Text color="cyan">{'> '}</Text>
      {characters.slice(from, cursor).join('')}
      <Text inverse>{characters[cursor] ?? ' '}</Text>
      {characters.slice(cursor + 1, from + columns).join('')}
    </Text>
  );
}

/** Columns below which keys are named in short. */
const WIDE = 88;

function keysOf({ phase, pane }: ChatState, columns: number): string {
  if (phase === 'opening' || phase === 'answering') return 'Ctrl-C cancels, twice leaves';
  if (phase === 'cancelling') return 'cancelling';
  if (columns < WIDE) return pane ? 'Esc closes  Up Down scroll  Tab next' : 'Enter ask  Tab cite  /help  Ctrl-D';
  return pane ? 'Esc closes   Up Down scroll   Tab next citation' : 'Enter asks   Tab shows the citation   Up Down history   /help   Ctrl-D leaves';
}

export function ChatView({ state, onKey }: { readonly state: ChatState; readonly onKey?: (text: string, key: Key) => void }): JSX.Element {
  useInput((text, key) => onKey?.(text, key), { isActive: onKey !== undefined });
  const { ask, phase } = state;
  return (
    <>
      <Static items={[...ask.finished]}>{(part, i) => <FinishedPart key={i} part={part} />}</Static>
      <PictureAbove picture={state.picture} />
      {phase !== 'left' && <Live state={state} />}
    </>
  );
}

/** Ink can't measure pictures, so they go past it, above what it draws. */
function PictureAbove({ picture }: Pick<ChatState, 'picture'>): null {
  const { write } = useStdout();
  useEffect(() => {
    if (picture !== null) write(picture.text);
  }, [picture, write]);
  return null;
}

/** Less than a screen, since Ink clears screen and scrollback where it is not. */
function Live({ state }: { readonly state: ChatState }): JSX.Element {
  const { stdout } = useStdout();
  const { ask, phase } = state;
  const roomy = (stdout.rows || 24) >= 8;
  return (
    <>
      <Reading state={ask} />
      {ask.text.trim() !== '' && <Growing text={ask.text} />}
      {state.pane && <PaneView pane={state.pane} />}
      <Box flexDirection="column" marginTop={roomy ? 1 : 0}>
        <InputLine input={state.input} cursor={state.cursor} />
        {roomy && phase === 'ready' && <MapRow parts={ask.parts} dialogue={state.dialogue} share={1} />}
      </Box>
      <Text dimColor wrap="truncate">
        {state.note === '' ? keysOf(state, stdout.columns || 80) : state.note}
        {phase === 'ready' && state.note === '' ? `   ${bytes(ask.kvBytes)}` : ''}
      </Text>
    </>
  );
}

export interface ChatScreen {
  /** Aborted where the user cancels what is read before the first question. */
  readonly signal: AbortSignal;
  show(event: AskEvent): void;
  /** Until the user leaves. Errors: the signal's reason where that was by Ctrl-C or a signal. */
  talk(session: ChatSession): Promise<void>;
  close(): Promise<void>;
}

/** Only for terminals. */
export function chatScreen(stdout: NodeJS.WriteStream, look: PictureLook, signal: AbortSignal): ChatScreen {
  return new Screen(stdout, look, signal);
}

class Screen implements ChatScreen {
  readonly signal: AbortSignal;
  #state = initialChatState;
  /** Of what runs now; first, reading the sources. */
  #running = new AbortController();
  readonly #outer: AbortSignal;
  readonly #stdout: NodeJS.WriteStream;
  readonly #look: PictureLook;
  readonly #view: ReturnType<typeof render>;
  #session: ChatSession | null = null;
  /** Of the citation that Tab shows next. */
  #nextCitation = 1;
  #leave: (interrupted: boolean) => void = () => undefined;

  constructor(stdout: NodeJS.WriteStream, look: PictureLook, outer: AbortSignal) {
    this.#stdout = stdout;
    this.#look = look;
    this.#outer = outer;
    this.signal = AbortSignal.any([outer, this.#running.signal]);
    this.#view = render(this.#element(), { stdout, exitOnCtrlC: false, patchConsole: false, maxFps: 30 });
  }

  show(event: AskEvent): void {
    this.#set({ ask: reduceAsk(this.#state.ask, event) });
  }

  async talk(session: ChatSession): Promise<void> {
    this.#session = session;
    const interrupted = await new Promise<boolean>((resolve) => {
      this.#leave = resolve;
      this.#outer.addEventListener('abort', () => resolve(true), { once: true });
      if (this.#outer.aborted) resolve(true);
      this.#set({ phase: 'ready', note: '' });
    });
    this.#running.abort(interruption());
    if (interrupted) throw this.#outer.aborted ? this.#outer.reason : interruption();
  }

  async close(): Promise<void> {
    this.#set({ phase: 'left', pane: null });
    this.#view.unmount();
    await this.#view.waitUntilExit();
  }

  #element(): JSX.Element {
    return <ChatView state={this.#state} onKey={(text, key) => this.#press(text, key)} />;
  }

  #set(changes: Partial<ChatState>): void {
    this.#state = { ...this.#state, ...changes };
    this.#view.rerender(this.#element());
  }

  #finish(...parts: Finished[]): void {
    this.#set({ ask: { ...this.#state.ask, finished: [...this.#state.ask.finished, ...parts] } });
  }

  #press(text: string, key: Key): void {
    const { state, action } = pressKey(this.#state, text, key);
    this.#set(state);
    if (action) this.#act(action);
  }

  #act(action: Action): void {
    switch (action.type) {
      case 'cancel':
        return this.#running.abort(interruption());
      case 'leave':
        // While sources are read there is nothing to leave yet but the program.
        if (this.#session === null) process.exit(ExitCode.interrupted);
        return this.#leave(action.interrupted);
      case 'cite':
        return this.#showCitation(this.#nextCitation);
      case 'submit':
        void this.#submit(action.text);
    }
  }

  async #submit(text: string): Promise<void> {
    const session = this.#session!;
    const line = parseChatLine(text);
    try {
      if (line.type === 'mistake') this.#finish({ type: 'warning', message: line.message });
      else if (line.type === 'question') await this.#ask(session, line.text);
      else if (line.type === 'command' && line.name === 'cite' && session.cited(Number(line.argument))) this.#showCitation(Number(line.argument));
      else if (line.type === 'command') {
        const result = await session.command(line.name, line.argument, process.stdout.columns || 80);
        if (result === null) return this.#leave(false);
        this.#finish({ type: 'question', text }, { type: 'text', text: result.text });
      }
    } catch (error) {
      this.#finish({ type: 'warning', message: error instanceof LodestoneError ? error.message : String(error) });
    }
    this.#set({ phase: 'ready', dialogue: session.dialogue, note: '', ask: { ...this.#state.ask, kvBytes: session.kvBytes, text: '', look: null, prefill: null } });
  }

  async #ask(session: ChatSession, question: string): Promise<void> {
    this.#running = new AbortController();
    this.#nextCitation = 1;
    this.#set({ phase: 'answering' });
    this.#finish({ type: 'question', text: question });
    await session.ask(question, AbortSignal.any([this.#outer, this.#running.signal]), (event) => this.show(event));
  }

  #showCitation(number: number): void {
    const found = this.#session?.cited(number);
    if (!found) return this.#set(this.#state.pane ? { pane: null } : { note: 'the last answer has no citations' });
    const { citation } = found;
    const text = found.text ?? { text: citation.quote, from: 0, to: citation.quote.length };
    const count = this.#session!.answers.at(-1)!.citations.length;
    this.#nextCitation = (number % count) + 1;
    const title = `[${number}] ${place(citation)}`;
    this.#set({ pane: { title, text, scroll: 0 } });
    if (found.image) void this.#showPicture(title, found.image);
  }

  async #showPicture(title: string, image: Raster): Promise<void> {
    const { columns, rows } = this.#stdout;
    const cells = fitCells(image, this.#look, { columns: Math.max(8, (columns || 80) - 2), rows: Math.max(4, Math.floor((rows || 24) * PICTURE_SHARE)) });
    try {
      const drawn = await drawPicture(image, this.#look, cells);
      this.#set({ picture: { text: `\n${clean(title)}\n${drawn}\n` } });
    } catch (error) {
      this.#set({ note: `the picture can't be shown (${clean((error as Error).message)})` });
    }
  }
}

function interruption(): LodestoneError {
  return new LodestoneError(ExitCode.interrupted, 'interrupted');
}
