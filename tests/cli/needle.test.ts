/** `lodestone needle` as a user and a CI job run it, on the embedded model. Its figures are of short documents, where any sane model is sure. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrialRecord } from '../../src/recall/record.js';
import type { NeedleReport } from '../../src/recall/reports/report.js';
import { packageRoot } from '../../src/paths.js';
import { lodestone, modelWith, scratch } from './run.js';

const small = ['needle', '--lengths', '1K', '--depths', '3'];
let dir: string;
let base: NeedleReport;
let baseFile: string;
const parse = (text: string): NeedleReport => JSON.parse(text) as NeedleReport;

beforeAll(async () => {
  dir = scratch();
  baseFile = path.join(dir, 'base.json');
  const { stdout, stderr, code } = await lodestone([...small, '--trials', '4', '--json', '-q', '--min-recall', '0.9'], { timeoutMs: 240_000 });
  expect([stderr, code]).toEqual(['', 0]);
  writeFileSync(baseFile, stdout);
  base = parse(stdout);
}, 240_000);

it('finds needles in 1K, with controls, and passes its gate', () => {
  const [suite] = base.suites;
  expect(base).toMatchObject({ schema: 'lodestone.needle/1', model: { id: 'lodestone-tiny' }, gate: { passed: true }, settings: { seed: 0, looks: 0 } });
  expect(suite!.overall.trials).toBe(12);
  expect(suite!.overall.recall).toBeGreaterThanOrEqual(0.9);
  expect(suite!.cells.map(({ length, depth, trials }) => [length, depth, trials])).toEqual([[1024, 0, 4], [1024, 50, 4], [1024, 100, 4]]);
  expect(suite!.controls.alone!.recall).toBeGreaterThanOrEqual(2 / 3);
  expect(suite!.controls.without).toMatchObject({ hits: 0, trials: 3 });
  expect(base.trials).toHaveLength(12 + 6);
  for (const { document_tokens: tokens, control } of base.trials) if (control === null) expect(tokens).toBeGreaterThan(800);
});

describe('a damaged model', () => {
  it.each([
    ['a window of 2', { sliding_window: 2 }],
    ['another base of the local rotation', { rope_local_base_freq: 10 }],
  ])('with %s fails the gate, and loses against the baseline', async (_, damage) => {
    const options = ['--trials', '4', '-q', '-m', modelWith(damage), '--min-recall', '0.9', '--max-drop', '0.1', '--baseline', baseFile];
    const { stdout, code } = await lodestone([...small, ...options], { timeoutMs: 240_000 });
    expect(stdout).toMatch(/gate failed: min-recall: recall of gemini is \S+ % \(\d+ of 12\); the least is 90 %; max-drop: recall went from \d+ to \d+ of 12 pairs \(\d+ lost/u);
    expect(code).toBe(3);
  }, 240_000);
});

describe('a run with a log', () => {
  it('that was killed goes on where it was', async () => {
    const log = path.join(dir, 'log.jsonl');
    const args = [...small, '--trials', '4', '--json', '-q', '--log', log];
    await lodestone(args, {
      timeoutMs: 240_000,
      during: (child) => {
        const timer = setInterval(() => {
          if (!existsSync(log) || readFileSync(log, 'utf8').split('\n').length < 5) return;
          clearInterval(timer);
          child.kill('SIGKILL');
        }, 20);
      },
    });
    const kept = readFileSync(log, 'utf8');
    const whole = kept.slice(0, kept.lastIndexOf('\n') + 1);
    expect(whole.split('\n').length).toBeLessThan(19);
    writeFileSync(log, `${whole}{"type":"tri`);
    const { stdout, code } = await lodestone(args, { timeoutMs: 240_000 });
    expect(code).toBe(0);
    expect(readFileSync(log, 'utf8').startsWith(whole)).toBe(true);
    const bare = (trials: readonly TrialRecord[]) => trials.map((trial) => ({ ...trial, seconds: 0 }));
    expect(bare(parse(stdout).trials)).toEqual(bare(base.trials));
    const other = await lodestone([...args, '--seed', '5']);
    expect(other).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/another seed \(0, now 5\)/u) as string });
  }, 300_000);
});

it('hides canaries in documents of the user, and says how far back it reads', async () => {
  const file = path.join(dir, 'notes.md');
  writeFileSync(file, 'The road to Oslo was long. We met nobody on it. Rain fell on the hills.\n'.repeat(12));
  const report = path.join(dir, 'r');
  const files = ['svg', 'png', 'html', 'xml', 'tap', 'json', 'txt'].map((form) => `${report}.${form}`);
  const summary = path.join(dir, 'summary.md');
  const env = { GITHUB_ACTIONS: 'true', GITHUB_STEP_SUMMARY: summary };
  const { stdout, stderr, code } = await lodestone(['needle', '--haystack', file, '--depths', '3', '--min-cell', '0', '--report', ...files], { env });
  expect(code).toBe(0);
  expect(stdout).toMatch(/canary: the given documents.*\n {2}depth {2}whole\n/u);
  expect(stdout).toMatch(/reads back (?:to its start|[\d,]+ tokens)/u);
  expect(stderr).toMatch(/^lodestone: canary whole: \d of 3\n/u);
  expect(stderr).toMatch(/::notice title=lodestone needle::gate passed/u);
  expect(readFileSync(summary, 'utf8')).toContain('### canary');
  for (const written of files) expect(readFileSync(written, 'utf8').length).toBeGreaterThan(100);
  const { trials, haystacks } = parse(readFileSync(`${report}.json`, 'utf8'));
  expect(haystacks[0]!.path).toBe(file);
  expect(trials.filter(({ control }) => control === null).map(({ question }) => question.includes('Oslo'))).toEqual([false, false, false]);
}, 120_000);

describe('what a user does wrong', () => {
  it.each([
    [['--suite', 'hay'], 2, /gemini, kamradt, heldout/u],
    [['--lengths', '12'], 2, /--lengths has 12, but the suite gemini needs at least 256 tokens/u],
    [['--suite', 'ruler', '--lengths', '4K,1000'], 2, /--lengths has 1,000, but the suite ruler needs at least 1,024 tokens/u],
    [['--tasks', 'vt'], 2, /--tasks chooses among the tasks of --suite ruler/u],
    [['--lengths', '1000M'], 4, /holds \d+/u],
    [['--min-recall', '7'], 2, /from 0 to 1/u],
    [['--max-drop', '0.1'], 2, /needs --baseline/u],
    [['--baseline', 'nowhere.json'], 7, /nowhere\.json/u],
    [['--report', 'a.doc'], 2, /a\.doc.*\.svg/u],
    [['--suite', 'canary'], 2, /--haystack/u],
    [['--haystack', 'nowhere.pdf'], 7, /nowhere\.pdf/u],
    [['--preset', 'slow'], 2, /quick, full/u],
    [['stray'], 2, /too many arguments/u],
    [['-m', 'nowhere'], 6, /no such model directory/u],
  ] as const)('%j', async (args, code, message) => {
    const outcome = await lodestone(['needle', ...args]);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stdout).toBe('');
    expect(outcome.code).toBe(code);
  });
});

it('the job in the README runs as it is written, here on a shorter length', async () => {
  const [, command] = /- run: npx lodestone (needle .*)\n/u.exec(readFileSync(path.join(packageRoot, 'README.md'), 'utf8'))!;
  const args = command!.split(' ').map((word) => (word.startsWith('needle.') ? path.join(dir, word) : word === '1K,4K,16K' ? '1K' : word));
  expect(args).toContain('1K');
  const { code } = await lodestone([...args, '--depths', '2'], { timeoutMs: 120_000 });
  expect(code).toBe(0);
  for (const written of ['needle.xml', 'needle.html']) expect(existsSync(path.join(dir, written))).toBe(true);
}, 120_000);

it('says that a report can not be written', async () => {
  const folder = path.join(dir, 'folder.svg');
  mkdirSync(folder);
  const outcome = await lodestone(['needle', '--lengths', '256', '--depths', '1', '-q', '--report', folder]);
  expect(outcome).toMatchObject({ code: 2, stderr: expect.stringMatching(/^lodestone: .*folder\.svg: can't be written/u) as string });
});
