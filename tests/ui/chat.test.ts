/** What a conversation shows, as plain data: keys, commands, map, pane and transcript. */
import { describe, expect, it } from 'vitest';
import type { Answer } from '../../src/answer/answer.js';
import { citedText } from '../../src/answer/cited-text.js';
import { chatCommands, parseChatLine } from '../../src/ui/chat-commands.js';
import { initialChatState, paneRows, pressKey, type Action, type ChatState, type Key } from '../../src/ui/chat-state.js';
import { formatContextMap, mapCells } from '../../src/ui/context-map.js';
import { transcript } from '../../src/ui/transcript.js';

const ready: ChatState = { ...initialChatState, phase: 'ready' };

/** Presses one after another: characters, or keys by name. */
function press(state: ChatState, ...keys: (string | Key)[]): { state: ChatState; actions: Action[] } {
  const actions: Action[] = [];
  for (const key of keys) {
    const pressed = typeof key === 'string' ? pressKey(state, key, {}) : pressKey(state, '', key);
    state = pressed.state;
    if (pressed.action) actions.push(pressed.action);
  }
  return { state, actions };
}
const control = (state: ChatState, letter: string): { state: ChatState; action?: Action } => pressKey(state, letter, { ctrl: true });

describe('keys', () => {
  it('edit a line, of any characters', () => {
    const { state } = press(ready, 'Wer ist 😀?', { leftArrow: true }, { backspace: true }, 'Ö', { rightArrow: true }, { rightArrow: true }, '!');
    expect([state.input, state.cursor]).toEqual(['Wer ist Ö?!', 11]);
    expect(control(state, 'a').state.cursor).toBe(0);
    expect(control(control(state, 'a').state, 'e').state.cursor).toBe(11);
    expect(control(state, 'u').state.input).toBe('');
    expect(press(ready, { backspace: true }, { leftArrow: true }).state.input).toBe('');
  });
  it('submit, remember and recall', () => {
    const { state, actions } = press(ready, 'one', { return: true }, ' ', { return: true }, 'two\r', 'two', { return: true });
    expect(actions).toEqual(['one', 'two', 'two'].map((text) => ({ type: 'submit', text })));
    expect(state.history).toEqual(['one', 'two']);
    const up = press(state, { upArrow: true }, { upArrow: true }, { upArrow: true });
    expect(up.state.input).toBe('one');
    expect(press(up.state, { downArrow: true }, { downArrow: true }, { downArrow: true }).state.input).toBe('');
    // Several pasted lines are one question.
    expect(press(ready, 'a\r\nb\nc').state.input).toBe('a b c');
    expect(press({ ...ready, phase: 'answering' }, 'x', { return: true }).actions).toEqual([]);
  });
  it('Ctrl-C cancels once and leaves twice, and empties the line where nothing runs', () => {
    const once = control({ ...ready, phase: 'answering' }, 'c');
    expect([once.state.phase, once.action]).toEqual(['cancelling', { type: 'cancel' }]);
    expect(control(once.state, 'c').action).toEqual({ type: 'leave', interrupted: true });
    const typed = control(press(ready, 'half a ques').state, 'c');
    expect([typed.state.input, typed.action]).toEqual(['', undefined]);
    expect(control(typed.state, 'c').action).toEqual({ type: 'leave', interrupted: true });
    // Another key in between: it was not meant.
    expect(control(press(typed.state, 'x').state, 'c').action).toBeUndefined();
    // In one piece, since the program was busy.
    expect(press({ ...ready, phase: 'answering' }, '\u0003\u0003').actions).toEqual([{ type: 'leave', interrupted: true }]);
    expect(press({ ...ready, phase: 'answering' }, 'x\u0003').actions).toEqual([{ type: 'cancel' }]);
    expect(press(ready, 'half\u0003', '\u0003').actions).toEqual([{ type: 'leave', interrupted: true }]);
    expect(control(ready, 'd').action).toEqual({ type: 'leave', interrupted: false });
    expect(control(press(ready, 'x').state, 'd').action).toBeUndefined();
  });
});

it('shows the part of a page where the quote is, marked', () => {
  const text = `${'before it\n'.repeat(30)}The code is\n7731942, and so on, in a line that is much longer than the window.\n${'after it\n'.repeat(30)}`;
  const cited = citedText({ source: 'a', page: 2, quote: 'The code is 7731942', verified: true }, [
    { source: { path: 'a', kind: 'pdf', bytes: 0, sha256: '' }, segments: [{ source: 0, page: 1, text: 'The code is 7731942' }, { source: 0, page: 2, text }], warnings: [] },
  ])!;
  expect(text.slice(cited.from, cited.to)).toBe('The code is\n7731942');
  const rows = (scroll: number): string[] => paneRows({ title: '', text: cited, scroll }, 24, 6).map(({ pieces }) => pieces.map((piece) => (piece.marked ? `[${piece.text}]` : piece.text)).join(''));
  expect(rows(0)).toEqual(['before it', 'before it', '[The code is]', '[7731942], and so on, in ', 'a line that is much ', 'longer than the window.']);
  expect(rows(-100)[0]).toBe('before it');
  expect(rows(-100)).toHaveLength(6);
  expect(rows(100).at(-1)).toBe('after it');
  expect(citedText({ source: 'a', page: 2, quote: 'Nowhere', verified: false }, [])).toBeNull();
  expect(paneRows({ title: '', text: { text: 'x'.repeat(50), from: 48, to: 50 }, scroll: 0 }, 20, 9).map(({ pieces }) => pieces.map((piece) => piece.text).join('').length)).toEqual([20, 20, 10]);
});

it('takes lines for questions or commands', () => {
  expect(parseChatLine('  Who?  ')).toEqual({ type: 'question', text: 'Who?' });
  expect(parseChatLine('/etc/hosts says what?').type).toBe('question');
  expect(parseChatLine(' ')).toEqual({ type: 'empty' });
  expect(parseChatLine('/cite 2')).toEqual({ type: 'command', name: 'cite', argument: '2' });
  expect(parseChatLine('/save my notes.md')).toEqual({ type: 'command', name: 'save', argument: 'my notes.md' });
  for (const line of ['/cite', '/sources x', '/nope']) expect(parseChatLine(line).type).toBe('mistake');
  for (const { name, argument } of chatCommands) expect(parseChatLine(`/${name}${argument === null ? '' : ' x'}`).type).toBe('command');
});

it('maps the context', () => {
  expect(mapCells([{ name: 'a', tokens: 30 }, { name: 'b', tokens: 10 }], 10, 10)).toBe('aaaaabbb==');
  expect(mapCells([{ name: 'a', tokens: 1_000_000 }, { name: 'b', tokens: 1 }], 0, 8)).toBe('aaaaaaab');
  expect(mapCells([], 0, 8)).toBe('');
  expect(mapCells(Array.from({ length: 40 }, (_, i) => ({ name: String(i), tokens: 1 })), 1, 30)).toBe('abcdefghijklmnopqrstuvwxyz++++');
  const text = formatContextMap([{ name: 'x\u001b[2J.pdf', tokens: 75 }], 25, 1000, 20);
  expect(text).toContain('75 tokens  75 %');
  expect(text).toContain('100 of 1,000 tokens');
  expect(text).not.toContain('\u001b');
});

it('writes transcripts', () => {
  const answer = { question: 'Who\nis it?', answer: 'Olga Reiss', found: true, citations: [{ source: 'a.pdf', page: 3, quote: 'Olga  Reiss.', verified: false }], model: { id: 'tiny' } } as unknown as Answer;
  const sources = [{ path: 'a.pdf', kind: 'pdf', sha256: '', segments: 1, tokens: 1234 }] as const;
  const none = { ...answer, question: 'What?', found: false, answer: '', citations: [] };
  expect(transcript('x.md', sources, [answer, none])).toBe(
    '# Questions and answers\n\nRead by tiny:\n\n- a.pdf (1,234 tokens)\n\n## Who is it?\n\nOlga Reiss\n\n1. a.pdf, page 3 (not verified)\n   > Olga Reiss.\n\n## What?\n\nNot found in the sources.\n',
  );
  expect(JSON.parse(transcript('x.JSON', sources, [answer]))).toMatchObject({ schema: 'lodestone.transcript/1', answers: [{ answer: 'Olga Reiss' }] });
});
