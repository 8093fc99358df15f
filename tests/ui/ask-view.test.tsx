import { cleanup, render } from 'ink-testing-library';
import { afterEach, describe, expect, it } from 'vitest';
import type { Answer, AskEvent, Plan } from '../../src/answer/answer.js';
import { initialAskState, reduceAsk } from '../../src/ui/ask-state.js';
import { AskView } from '../../src/ui/ask-view.js';
import { bytes, clean, count } from '../../src/ui/format.js';
import { formatAnswer, formatPlan, NO_CITATION } from '../../src/ui/plain.js';

afterEach(cleanup);

const plan: Plan = {
  schema: 'lodestone.plan/1',
  model: { id: 'tiny', quantization: 'bf16', context: 1_048_576, weight_bytes: 7_340_032 },
  device: { name: 'cpu', adapter: '2 threads' },
  sources: [{ path: 'a.pdf', kind: 'pdf', sha256: '00', pages: 24, segments: 24, tokens: 15_000 }],
  tokens: { sources: 15_000, prompt: 15_020, cached: 0, answer: 64, context: 1_048_576 },
  kv: {
    bytes: 3 * 2 ** 20,
    local: { layers: 5, format: 'f32', bytes: 2 ** 20, positions: 320 },
    global: { layers: 1, format: 'f16', bytes: 2 * 2 ** 20, positions: 15_360 },
    bytes_if_all_global: 18 * 2 ** 20,
  },
  fits: true,
};

const answer: Answer = {
  schema: 'lodestone.answer/1',
  question: 'What?',
  answer: '7731942',
  found: true,
  confidence: 0.9,
  citations: [
    { source: 'a.pdf', page: 9, quote: 'The code is 7731942.', verified: true },
    { source: 'b.txt', lines: [3, 4], quote: 'Other.', verified: false },
  ],
  readings: [],
  finish: 'stop',
  model: { id: 'tiny', sha256: '00', quantization: 'bf16', kv: { local: 'f32', global: 'f16' }, context: 1 },
  device: { name: 'cpu', adapter: '' },
  tokens: { input: 1, cached: 0, generated: 1, context: 2 },
  truncated: false,
  timings: { ingest_ms: 1, load_ms: 1, prefill_ms: 1, decode_ms: 1, look_ms: 1, prefill_tps: 1, decode_tps: 1 },
  sources: plan.sources,
};

describe('the terminal view of ask', () => {
  it('shows what is read, how fast, and the answer with its places', () => {
    const events: AskEvent[] = [
      { type: 'warning', message: 'a.pdf: pages 3, 7 have no text' },
      { type: 'ingest', path: 'a.pdf', unit: 'pages', done: 12, total: 24 },
    ];
    let state = events.reduce(reduceAsk, initialAskState);
    const { lastFrame, rerender } = render(<AskView state={state} />);
    expect(lastFrame()).toContain('12 / 24 pages');
    expect(lastFrame()).toContain('pages 3, 7 have no text');

    state = reduceAsk(state, { type: 'plan', plan });
    state = reduceAsk(state, { type: 'prefill', done: 5000, total: 15_020, cached: 0, tokens_per_second: 9000.4, eta_seconds: 1.2 });
    rerender(<AskView state={state} />);
    expect(lastFrame()).toContain('15,000 tokens');
    expect(lastFrame()).toContain('5,000 / 15,020 tokens  9,000 tokens/s  2 s left');
    expect(lastFrame()).not.toContain('12 / 24');

    state = reduceAsk(state, { type: 'prefill', done: 15_020, total: 15_020, cached: 0, tokens_per_second: 9000, eta_seconds: 0 });
    state = reduceAsk(state, { type: 'token', text: ' 7731' });
    rerender(<AskView state={state} />);
    expect(lastFrame()).toContain('7731');
    state = reduceAsk(state, { type: 'answer', answer });
    rerender(<AskView state={state} />);
    expect(lastFrame()).toContain('7731942');
    expect(lastFrame()).toContain('[1] a.pdf, page 9');
    expect(lastFrame()).toContain('[2] b.txt, lines 3-4  (not verified)');
    expect(lastFrame()).not.toContain('tokens/s');
    expect(lastFrame()!.split('7731942.')).toHaveLength(2);
  });

  it('shows what is read within a budget, and why that ended', () => {
    const step = { tokens: 120, worth: 0.5, gain: 0.07 };
    let state = ([
      { type: 'index', leaves: 2923, corpus_tokens: 1_050_636, kept: false, ms: 900 },
      { type: 'step', number: 3, action: 'skim', source: 'talk.mp3', time: 754, answer: '77\u001b[31m', ...step },
    ] satisfies AskEvent[]).reduce(reduceAsk, initialAskState);
    const { lastFrame, rerender } = render(<AskView state={state} />);
    expect(lastFrame()).toContain('3. skimming talk.mp3, 12:34: 77');
    expect(lastFrame()).not.toContain('\u001b[31m');
    state = reduceAsk(state, { type: 'step', number: 4, action: 'requery', answer: '', ...step });
    rerender(<AskView state={state} />);
    expect(lastFrame()).toContain('4. searching again with what was found');
    state = reduceAsk(state, { type: 'stop', reason: 'decided', tokens: 1240, steps: 4, corpus_tokens: 1_050_636, gain: -0.024 });
    rerender(<AskView state={state} />);
    expect(lastFrame()).toContain('read 1,240 of about 1,050,636 tokens (0.12 %) in 4 steps; reading on was thought to be worth -0.02');
    expect(lastFrame()).not.toContain('searching again');
  });
  it('says where there is nothing to cite, as plain text does', () => {
    const bare = { ...answer, citations: [] };
    const { lastFrame } = render(<AskView state={reduceAsk(initialAskState, { type: 'answer', answer: bare })} />);
    expect(lastFrame()).toContain(NO_CITATION);
    expect(formatAnswer(bare)).toContain(NO_CITATION);
  });
});

describe('plain text', () => {
  it('gives answers and places', () => {
    expect(formatAnswer(answer)).toBe(
      '7731942\n  [1] a.pdf, page 9: "The code is 7731942."\n' +
        '  [2] b.txt, lines 3-4: "Other."  (not verified: the answer does not stand there to the letter)\n',
    );
    expect(formatAnswer({ ...answer, found: false, answer: '', citations: [] })).toBe('Not found in the sources.\n');
  });
  it('gives the plan by layer type', () => {
    const text = formatPlan(plan);
    expect(text).toContain('local   5 layers x 320 positions in f32  1.0 MiB');
    expect(text).toContain('global  1 layers x 15,360 positions in f16  2.0 MiB');
    expect(text).toContain('3.0 MiB (18.0 MiB if every layer held every position)');
    expect(text).toMatch(/\nfits the model's context\n$/u);
    expect(formatPlan({ ...plan, fits: false })).toContain("does not fit the model's context");
  });
  it('does not let a document steer the terminal', () => {
    expect(clean('a\u001b[2Jb\u202ec\u0007')).toBe('a[2Jbc');
    expect(formatAnswer({ ...answer, answer: '\u001b]0;owned\u0007x' })).not.toMatch(/\u001b|\u0007/u);
  });
  it('counts', () => {
    expect(count(1234567.8)).toBe('1,234,568');
    expect([0, 1023, 1024, 1536, 150 * 2 ** 20].map(bytes)).toEqual(['0 B', '1023 B', '1.0 KiB', '1.5 KiB', '150 MiB']);
  });
});
