/**
 * `npm run alive`: how soon the terminal answers while everything computes. A conversation is opened about a long text; while that is
 * read, keys are pressed, and the time until each stands on the screen is taken, and how long the screen ever stood still.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../src/paths.js';
import { inTerminal } from '../cli/terminal.js';

const keys = 60;
/** Between two keys, in ms; no multiple of a frame. */
const pause = 110;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function show(name: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(0);
  console.log(`${name}: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, most ${at(1)} ms (${sorted.length})`);
}

const folder = mkdtempSync(path.join(tmpdir(), 'lodestone-alive-'));
try {
  const text = path.join(folder, 'long.txt');
  const essays = readFileSync(path.join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8');
  writeFileSync(text, essays.repeat(Math.ceil(8e6 / essays.length)));
  const running = inTerminal(['chat', text], { env: { NO_COLOR: '1', XDG_CACHE_HOME: folder } });
  await running.until(/tokens\/s/u, 240);
  const [answers, gaps]: [number[], number[]] = [[], []];
  let typed = '';
  for (let i = 0; i < keys; i++) {
    const key = String.fromCodePoint(97 + (i % 26));
    typed += key;
    const from = running.raw().length;
    const pressed = performance.now();
    let [length, drawn] = [from, pressed];
    running.type(key);
    for (let answered = false; !answered || performance.now() < pressed + pause; ) {
      await wait(1);
      const raw = running.raw();
      const now = performance.now();
      if (raw.length > length) {
        gaps.push(now - drawn);
        [length, drawn] = [raw.length, now];
      }
      if (!answered && raw.includes(typed, from)) {
        answered = true;
        answers.push(now - pressed);
      }
      if (now > pressed + 10_000) throw new Error(`a key has not come within ten seconds:\n${await running.screen()}`);
    }
  }
  const screen = await running.screen();
  running.type('\u0003\u0003');
  running.kill('SIGKILL');
  await running.exited;
  if (!/tokens\/s/u.test(screen)) throw new Error(`the text was read before the last key:\n${screen}`);
  console.log(`load ${loadavg()[0]!.toFixed(1)}`);
  show('key to screen', answers);
  show('between redraws', gaps);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
