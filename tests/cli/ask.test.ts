/** The main job, as a user and as a script run it, on the embedded model. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Terminal } from '@xterm/headless';
import { spawn as spawnPty } from '@lydell/node-pty';
import { describe, expect, it } from 'vitest';
import type { Answer, AskEvent, Plan } from '../../src/answer/answer.js';
import { kvFormats } from '../../src/device/kvLayout.js';
import type { ProfileReport } from '../../src/device/profile.js';
import { defaultChunk, kvBytes, ringSlots } from '../../src/runtime/kv.js';
import { openConfig } from '../../src/runtime/model.js';
import { embeddedModelDir, packageRoot } from '../../src/paths.js';
import { lodestone } from './run.js';

const report = path.join(packageRoot, 'fixtures', 'long-report.pdf');
const question = 'What is the access code for the Harrow Lane archive?';

describe('lodestone ask', () => {
  it('answers with the page', async () => {
    const { code, stdout, stderr } = await lodestone(['ask', question, report]);
    expect(stdout).toBe(`7731942\n  [1] ${report}, page 2: "The access code for the Harrow Lane archive is 7731942."\n`);
    expect(stderr).toBe('');
    expect(code).toBe(0);
  });

  it('gives one JSON object', async () => {
    const { stdout } = await lodestone(['ask', question, report, '--json']);
    const answer = JSON.parse(stdout) as Answer;
    expect(answer).toMatchObject({
      schema: 'lodestone.answer/1',
      question,
      answer: '7731942',
      found: true,
      citations: [{ source: report, page: 2, verified: true }],
      finish: 'stop',
      model: { id: 'lodestone-tiny' },
      truncated: false,
      sources: [{ path: report, kind: 'pdf' }],
    });
    expect(answer.citations[0]!.quote).toContain('7731942');
    expect(answer.model.sha256).toMatch(/^[0-9a-f]{64}$/u);
    expect(answer.sources[0]!.pages).toBeGreaterThanOrEqual(20);
    expect(answer.tokens.input).toBeGreaterThan(answer.sources[0]!.tokens);
    expect(answer.tokens.context).toBe(answer.tokens.input + answer.tokens.generated);
  });

  it('gives events as JSON lines, the answer last', async () => {
    const { stdout } = await lodestone(['ask', question, report, '--jsonl']);
    const events = stdout.trim().split('\n').map((line) => JSON.parse(line) as AskEvent);
    const types = new Set(events.map((event) => event.type));
    for (const type of ['ingest', 'plan', 'prefill', 'token', 'answer'] as const) expect(types).toContain(type);
    const last = events.at(-1)!;
    expect(last.type === 'answer' && last.answer.answer).toBe('7731942');
    const prefill = events.filter((event) => event.type === 'prefill');
    expect(prefill.at(-1)).toMatchObject({ done: prefill[0]!.total, total: prefill[0]!.total });
    expect(prefill.every((event, i) => i === 0 || event.done > prefill[i - 1]!.done)).toBe(true);
  });

  it('says where the time went, if asked to', async () => {
    const args = ['ask', 'Who is the harbour master of Dunmore?', '-', '--profile', '--no-session', '--looks', '0'];
    const stdin = 'The harbour master of Dunmore is Olga Reiss.\n';
    const text = await lodestone(args, { stdin });
    expect(text.stdout).toMatch(/^Olga Reiss\n/u);
    expect(text.stderr).toMatch(/^\w+ \(.*\): copies [\d.]+ GB\/s, multiplies [\d.]+ GFLOP\/s, as measured here\nkernel +calls +ms .*\n(?:.*%.*\n)*matMul /mu);
    const { profile, answer } = JSON.parse((await lodestone([...args, '--json'], { stdin })).stdout) as Answer & { profile: ProfileReport };
    expect(answer).toBe('Olga Reiss');
    expect(profile).toMatchObject({ schema: 'lodestone.profile/1', kernels: expect.arrayContaining([expect.objectContaining({ kernel: 'attention' })]) as unknown });
    expect(profile.kernels.every(({ calls, ms }) => calls > 0 && ms > 0)).toBe(true);
  });

  it('reads a pipe, text and PDF alike', async () => {
    const text = `The meeting was long.\nNobody spoke of it again.\n\nThe harbour master of Dunmore is Olga Reiss.\nRain fell.\n`;
    const { stdout } = await lodestone(['ask', 'Who is the harbour master of Dunmore?', '-', '--json'], { stdin: text });
    const answer = JSON.parse(stdout) as Answer;
    expect(answer.answer).toBe('Olga Reiss');
    expect(answer.citations[0]).toMatchObject({ source: '-', lines: [4, 4], verified: true });
    const piped = await lodestone(['ask', question, '--json'], { stdin: readFileSync(report) });
    expect((JSON.parse(piped.stdout) as Answer).citations[0]).toMatchObject({ source: '-', page: 2 });
  });

  it('reads only the chosen pages', async () => {
    const { stdout } = await lodestone(['ask', question, report, '--pages', '2', '--json']);
    const answer = JSON.parse(stdout) as Answer;
    expect(answer.sources[0]!.segments).toBe(1);
    expect(answer.answer).toBe('7731942');
  });

  it('agrees with the reference device, and with any chunk size', async () => {
    const answers = await Promise.all(
      [['--device', 'reference'], ['--chunk', '7'], ['--chunk', '512']].map(async (more) => {
        const { stdout } = await lodestone(['ask', question, report, '--pages', '2', '--json', ...more]);
        return JSON.parse(stdout) as Answer;
      }),
    );
    expect(answers.map((answer) => answer.answer)).toEqual(['7731942', '7731942', '7731942']);
    // Bit for bit on one device, nearly so between two.
    expect(answers[1]!.confidence).toBe(answers[2]!.confidence);
    expect(answers[0]!.confidence).toBeCloseTo(answers[2]!.confidence, 2);
  });

  it('plans without computing', async () => {
    const { stdout, code } = await lodestone(['ask', question, report, '--dry-run', '--json']);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout) as Plan;
    const config = await openConfig(embeddedModelDir);
    const kv = kvBytes(config, plan.tokens.prompt + plan.tokens.answer, defaultChunk);
    expect(plan.kv.bytes).toBe(kv.total);
    expect(plan.kv.local).toMatchObject({ layers: 5, positions: ringSlots(config.window, defaultChunk) });
    expect(plan.kv.global.layers).toBe(1);
    expect(plan.fits).toBe(true);
    expect((await lodestone(['ask', question, report, '--dry-run'])).stdout).toMatch(/^model .*\ndevice .*\nsources\n/u);
  });

  it('stores keys and values as asked, and says so', async () => {
    const config = await openConfig(embeddedModelDir);
    for (const format of kvFormats) {
      const { stdout } = await lodestone(['ask', question, report, '--kv', format, '--dry-run', '--json']);
      const { kv, tokens } = JSON.parse(stdout) as Plan;
      expect(kv.bytes).toBe(kvBytes(config, tokens.prompt + tokens.answer, defaultChunk, { local: 'f32', global: format }).total);
      expect([kv.local.format, kv.global.format]).toEqual(['f32', format]);
    }
    const { stdout } = await lodestone(['ask', question, report, '--pages', '2', '--kv', 'q8_0', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ answer: '7731942', model: { kv: { local: 'f32', global: 'q8_0' } } });
    expect((await lodestone(['ask', question, report, '--kv', 'q4'])).code).toBe(2);
  });

  it('samples reproducibly', async () => {
    const options = ['ask', question, report, '--pages', '2', '--looks', '0', '--temperature', '30', '--top-k', '50', '--json'];
    const run = async (seed: string): Promise<string> => (JSON.parse((await lodestone([...options, '--seed', seed])).stdout) as Answer).answer;
    const [a, b, c] = await Promise.all([run('1'), run('1'), run('2')]);
    expect(a).toBe(b);
    expect(c).not.toBe(a);
  });
});

describe('on a terminal', () => {
  /** Runs the program in a terminal of 80 columns and returns what stands on its screen at the end. */
  const screen = async (args: readonly string[]): Promise<{ text: string; code: number }> => {
    const terminal = new Terminal({ cols: 80, rows: 30, allowProposedApi: true });
    const env: NodeJS.ProcessEnv = { ...process.env, TERM: 'xterm-256color' };
    delete env['CI'];
    const pty = spawnPty(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), ...args], { cols: 80, rows: 30, env });
    pty.onData((data) => terminal.write(data));
    const code = await new Promise<number>((resolve) => pty.onExit(({ exitCode }) => resolve(exitCode)));
    // Writes are queued; an empty one is called back when all before it are on the screen.
    await new Promise<void>((resolve) => terminal.write('', resolve));
    const lines = Array.from({ length: 30 }, (_, i) => terminal.buffer.active.getLine(i)?.translateToString(true) ?? '');
    return { text: lines.join('\n').trimEnd(), code };
  };

  it('shows what was read, the answer and its place, and leaves them there', async () => {
    const { text, code } = await screen(['ask', question, report]);
    expect(code).toBe(0);
    expect(text).toMatch(/pages\s+[\d,]+ tokens/u);
    expect(text).toContain('7731942');
    expect(text).toMatch(/\[1\].*page 2/su);
    expect(text).not.toContain('tokens/s');
  });

  it('says what is wrong, without leftovers', async () => {
    const { text, code } = await screen(['ask', question, 'nowhere.pdf']);
    expect(code).toBe(7);
    expect(text).toMatch(/^lodestone: nowhere\.pdf/u);
  });
});
