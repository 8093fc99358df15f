/** For terminal.test.ts: shows a run of many sources, warnings and tokens and an answer with long quotes. */
import type { Answer, Plan } from '../../src/answer/answer.js';
import { askScreen } from '../../src/ui/ask-view.js';

const sources = Array.from({ length: 40 }, (_, i) => ({ path: `source-${i}.pdf`, kind: 'pdf', sha256: '', pages: 9, segments: 9, tokens: 1000 }) as const);
const plan = { sources, kv: { bytes: 2 ** 20 } } as unknown as Plan;
const words = Array.from({ length: 600 }, (_, i) => `word${i}`);
const quote = (name: string): string => `${name} ${'long '.repeat(800)}end-${name}`;
const answer = {
  answer: words.join(' '),
  found: true,
  citations: ['one', 'two', 'one'].map((name) => ({ source: 'source-1.pdf', page: 3, quote: quote(name), verified: true })),
} as unknown as Answer;

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));
const screen = askScreen(process.stdout);
for (let i = 0; i < 30; i++) screen.show({ type: 'warning', message: `warning ${i} ${'of many words '.repeat(20)}` });
for (const { path } of sources) {
  screen.show({ type: 'ingest', path, unit: 'pages', done: 1, total: 9 });
  await pause();
}
screen.show({ type: 'plan', plan });
for (let done = 1000; done <= 40_000; done += 1000) {
  screen.show({ type: 'prefill', done, total: 40_000, cached: 0, tokens_per_second: 1000, eta_seconds: 1 });
  await pause();
}
for (const word of words) {
  screen.show({ type: 'token', text: ` ${word}${word.endsWith('7') ? '\n' : ''}` });
  await pause();
}
screen.show({ type: 'answer', answer });
await screen.close();
