/** What the terminal shows of a conversation, as plain data, and what keys do to it. */
import type { CitedText } from '../answer/cited-text.js';
import { initialAskState, type AskState } from './ask-state.js';
import { clean } from './format.js';

/** The text around a citation. */
export interface Pane {
  readonly title: string;
  readonly text: CitedText;
  /** Rows scrolled from where the quote is in sight. */
  readonly scroll: number;
}

export interface ChatState {
  /** opening: the sources are being read. cancelling: what runs was told to stop. */
  readonly phase: 'opening' | 'ready' | 'answering' | 'cancelling' | 'left';
  readonly ask: AskState;
  readonly input: string;
  /** Before which character of the input. */
  readonly cursor: number;
  readonly history: readonly string[];
  /** What of the history is being edited; its length: a new line. */
  readonly recalled: number;
  readonly pane: Pane | null;
  /** To be put above what changes, once, where it stays; as the terminal shows it. */
  readonly picture: { readonly text: string } | null;
  /** For a moment, in the place of the keys. */
  readonly note: string;
  readonly dialogue: number;
}

export const initialChatState: ChatState = {
  phase: 'opening',
  ask: initialAskState,
  input: '',
  cursor: 0,
  history: [],
  recalled: 0,
  pane: null,
  picture: null,
  note: '',
  dialogue: 0,
};

/** As Ink gives it. */
export interface Key {
  readonly ctrl?: boolean;
  readonly return?: boolean;
  readonly escape?: boolean;
  readonly tab?: boolean;
  readonly backspace?: boolean;
  readonly delete?: boolean;
  readonly leftArrow?: boolean;
  readonly rightArrow?: boolean;
  readonly upArrow?: boolean;
  readonly downArrow?: boolean;
  readonly pageUp?: boolean;
  readonly pageDown?: boolean;
}

/** What a key makes happen outside the state. */
export type Action =
  | { readonly type: 'submit'; readonly text: string }
  /** Stop what runs. */
  | { readonly type: 'cancel' }
  /** interrupted: by Ctrl-C. */
  | { readonly type: 'leave'; readonly interrupted: boolean }
  /** Show the next citation. */
  | { readonly type: 'cite' };

export interface Pressed {
  readonly state: ChatState;
  readonly action?: Action;
}

export function pressKey(before: ChatState, text: string, key: Key): Pressed {
  // Ctrl-C twice leaves, if no other key comes in between.
  const state = text.startsWith(CTRL_C) ? before : { ...before, note: '' };
  if (key.ctrl === true) return pressControl(before, text);
  if (key.escape === true) return { state: { ...state, pane: null } };
  if (key.tab === true) return { state, action: { type: 'cite' } };
  if (key.return === true) return submit(state);
  if (key.backspace === true || key.delete === true) return { state: erase(state) };
  if (key.leftArrow === true) return { state: { ...state, cursor: Math.max(0, state.cursor - 1) } };
  if (key.rightArrow === true) return { state: { ...state, cursor: Math.min([...state.input].length, state.cursor + 1) } };
  if (key.pageUp === true || key.pageDown === true) return { state: scroll(state, key.pageUp === true ? -5 : 5) };
  if (key.upArrow === true || key.downArrow === true) {
    const step = key.upArrow === true ? -1 : 1;
    return { state: state.pane ? scroll(state, step) : recall(state, step) };
  }
  return typed(state, text);
}

/** Characters that came together: of a paste, or since the program was busy, with Ctrl-C among them. */
function typed(state: ChatState, text: string): Pressed {
  const at = text.indexOf(CTRL_C);
  if (at >= 0) {
    const first = interrupt(insert(state, text.slice(0, at)));
    const rest = text.slice(at + 1);
    if (rest === '') return first;
    const then = typed(first.state, rest);
    return { ...then, ...(then.action ?? first.action ? { action: (then.action ?? first.action)! } : {}) };
  }
  // Several lines become one, and a line end behind it is that of the line.
  const line = text.replace(/[\r\n]+$/u, '');
  const inserted = insert(state, line.replaceAll(/[\r\n]+/gu, ' '));
  return line === text ? { state: inserted } : submit(inserted);
}

const CTRL_C = '\u0003';

function pressControl(state: ChatState, text: string): Pressed {
  switch (text) {
    case 'c':
      return interrupt(state);
    case 'd':
      return state.input === '' ? { state, action: { type: 'leave', interrupted: false } } : { state };
    case 'a':
      return { state: { ...state, cursor: 0 } };
    case 'e':
      return { state: { ...state, cursor: [...state.input].length } };
    case 'u':
      return { state: { ...state, input: '', cursor: 0 } };
    default:
      return { state };
  }
}

const AGAIN = 'Ctrl-C again leaves';

/** Once: what runs is cancelled, or the line emptied. Twice: leave. */
function interrupt(state: ChatState): Pressed {
  if (state.note.includes(AGAIN)) return { state, action: { type: 'leave', interrupted: true } };
  if (state.phase === 'answering' || state.phase === 'opening') {
    return { state: { ...state, phase: 'cancelling', note: `cancelling; ${AGAIN}` }, action: { type: 'cancel' } };
  }
  return { state: { ...state, input: '', cursor: 0, note: AGAIN } };
}

function submit(state: ChatState): Pressed {
  const text = state.input.trim();
  if (text === '') return { state };
  if (state.phase !== 'ready') return { state: { ...state, note: 'not yet: press Enter again when it is ready' } };
  const history = state.history.at(-1) === text ? state.history : [...state.history, text];
  return { state: { ...state, input: '', cursor: 0, history, recalled: history.length, pane: null }, action: { type: 'submit', text } };
}

function insert(state: ChatState, text: string): ChatState {
  const characters = [...state.input];
  const added = [...clean(text)];
  return { ...state, input: [...characters.slice(0, state.cursor), ...added, ...characters.slice(state.cursor)].join(''), cursor: state.cursor + added.length };
}

function erase(state: ChatState): ChatState {
  if (state.cursor === 0) return state;
  const characters = [...state.input];
  characters.splice(state.cursor - 1, 1);
  return { ...state, input: characters.join(''), cursor: state.cursor - 1 };
}

function recall(state: ChatState, step: number): ChatState {
  const recalled = Math.max(0, Math.min(state.history.length, state.recalled + step));
  const input = state.history[recalled] ?? '';
  return { ...state, recalled, input, cursor: [...input].length };
}

function scroll(state: ChatState, rows: number): ChatState {
  return state.pane ? { ...state, pane: { ...state.pane, scroll: state.pane.scroll + rows } } : state;
}

/** A row of a pane, in pieces of which some are marked. */
export interface PaneRow {
  readonly pieces: readonly { readonly text: string; readonly marked: boolean }[];
}

/** Where a line that begins at `start` is broken: behind a space where there is one. */
function rowEnd(line: string, start: number, columns: number): number {
  if (line.length - start <= columns) return line.length;
  const space = line.lastIndexOf(' ', start + columns - 1);
  return space > start ? space + 1 : start + columns;
}

/** The rows of a text in a window of so many, with the marked part in sight unless it was scrolled away. */
export function paneRows({ text: { text, from, to }, scroll }: Pane, columns: number, rows: number): PaneRow[] {
  const all: (PaneRow & { readonly start: number })[] = [];
  let at = 0;
  for (const line of text.trimEnd().split('\n')) {
    for (let start = 0, end = 0; start === 0 || start < line.length; start = Math.max(end, 1)) {
      end = rowEnd(line, start, columns);
      const cuts = [start, Math.max(start, Math.min(end, from - at)), Math.max(start, Math.min(end, to - at)), end];
      const pieces = [0, 1, 2].map((i) => ({ text: line.slice(cuts[i], cuts[i + 1]), marked: i === 1 }));
      all.push({ start: at + start, pieces: pieces.filter((piece) => piece.text !== '') });
    }
    at += line.length + 1;
  }
  const quote = Math.max(0, all.findLastIndex(({ start }) => start <= from));
  const first = Math.max(0, Math.min(all.length - rows, quote - Math.floor(rows / 3) + scroll));
  return all.slice(first, first + rows).map(({ pieces }) => ({ pieces }));
}
