import { cleanup, render } from 'ink-testing-library';
import { afterEach, describe, expect, it } from 'vitest';
import { finish, heardLines, initialJobState, jobLine, listening, paceFrom, pulled, pulledAll, pulling } from '../../src/ui/job-state.js';
import { JobView } from '../../src/ui/job-view.js';

afterEach(cleanup);

describe('the pace', () => {
  it('counts from where it began, and tells what is left', () => {
    const pace = paceFrom();
    expect(pace(40, 100, 1000)).toEqual({ done: 40, total: 100, rate: 0, left: null });
    expect(pace(60, 100, 3000)).toEqual({ done: 60, total: 100, rate: 10, left: 4 });
    expect(paceFrom()(5, Infinity, 0).left).toBe(null);
    const endless = paceFrom();
    endless(0, Infinity, 0);
    expect(endless(30, Infinity, 2000)).toEqual({ done: 30, total: Infinity, rate: 15, left: null });
  });
});

describe('a transcription', () => {
  const segment = (from: number, text: string): Parameters<typeof heardLines>[0][number] => ({ from, to: from + 2, text, words: [], probability: 1 });
  it('shows what was said and when, how fast, and what is left', () => {
    const heard = finish(initialJobState, { mark: '!', text: 'talk.mp3: 2 s are damaged', tone: 'bad' }, ...heardLines([segment(0, ' Good evening.'), segment(75, ' The\u001b[2J code.')]));
    const { lastFrame } = render(<JobView state={{ ...heard, progress: listening('talk.mp3', { done: 90, total: 3600, rate: 12, left: 292.5 }) }} />);
    expect(lastFrame()).toBe('!  talk.mp3: 2 s are damaged\n00:00  Good evening.\n01:15  The[2J code.\n█░░░░░░░░░░░░░░░░░░░░░░░ 01:30 / 1:00:00  12.0x  04:52 left\nlistening to talk.mp3');
  });
  it('of unknown length has no bar', () => {
    const progress = listening('standard input', { done: 90, total: Infinity, rate: 12, left: null });
    const { lastFrame } = render(<JobView state={{ finished: [], progress }} />);
    expect(lastFrame()).toBe('01:30  12.0x\nlistening to standard input');
    expect(jobLine(progress)).toBe('listening to standard input  01:30  12.0x');
  });
});

describe('a download', () => {
  it('shows each file that is there, and the rate of what comes', () => {
    const pace = { done: 2 ** 20, total: 4 * 2 ** 20, rate: 2 ** 18, left: 12 };
    const first = pulled(initialJobState, pulling({ file: 'config.json', done: 700, total: 4 * 2 ** 20 }, { ...pace, rate: 0, left: null }));
    expect(first.finished).toEqual([]);
    const second = pulled(first, pulling({ file: 'model.safetensors', done: 2 ** 20, total: 4 * 2 ** 20 }, pace));
    const { lastFrame, rerender } = render(<JobView state={second} />);
    expect(lastFrame()).toBe('✓  config.json\n██████░░░░░░░░░░░░░░░░░░ 1.0 MiB / 4.0 MiB  256 KiB/s  00:12 left\npulling model.safetensors');
    expect(jobLine(second.progress!)).toBe('pulling model.safetensors  25 %  1.0 MiB / 4.0 MiB  256 KiB/s  00:12 left');
    rerender(<JobView state={pulledAll(second, 'hf:a/b: pulled, /models/b')} />);
    expect(lastFrame()).toMatch(/✓ {2}config\.json\n✓ {2}model\.safetensors\nhf:a\/b: pulled, \/models\/b\n?$/u);
  });
});
