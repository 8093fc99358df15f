/**
 * `npm run long-media`: a long recording and a long film, made by repetition, through `transcribe` and `ask` in processes of their
 * own. Each is killed once in the middle; the same command then goes on where it stopped. What is told: the most memory of the
 * process tree in each fifth of a run, processor time, and how many times real time that is.
 */
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Command } from 'commander';
import { shortClock } from '../clock.js';
import { integer } from '../cli/numbers.js';
import { time } from '../cli/times.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { findFfmpeg } from '../ingest/media/find-ffmpeg.js';
import { requireSpeech } from '../speech/choose.js';
import { longRecording, longVideo } from './long-media-files.js';
import { watchedRun, type Line, type WatchedRun } from './watched-run.js';

interface Options {
  readonly speech?: string;
  readonly see?: string;
  readonly recording: number;
  readonly film: number;
  readonly threads: number;
  readonly folder?: string;
}

/** How far a run has come, in seconds of the recording; null: the line does not say. */
type Reached = (line: Line) => number | null;

const heardTo: Reached = (line) => (line['type'] === 'segment' ? (line['to'] as number) : null);
const ingested = (unit: string): Reached => (line) => (line['type'] === 'ingest' && line['unit'] === unit ? (line['done'] as number) : null);

/** Words of neighbouring sentences may overlap, and no more than this. */
const windowSeconds = 30;

/** Killed when it has come so far. */
const killAt = 0.4;
const question = 'What is the secret keyword?';

interface Job {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly reached: Reached;
  /** Of the recording. */
  readonly seconds: number;
}

function show(what: string, { seconds, cpuSeconds, peaks }: WatchedRun, did: number): void {
  const memory = peaks.map((peak) => peak.toFixed(0)).join(' ');
  const rate = did > 0 ? `, ${(did / seconds).toFixed(1)} times real time (${(did / Math.max(1, cpuSeconds)).toFixed(1)} of one core)` : '';
  process.stdout.write(`  ${what}: ${seconds.toFixed(1)} s, ${cpuSeconds.toFixed(0)} s of processor time${rate}; most memory by fifths: ${memory} MiB\n`);
}

/** Runs it, killed in the middle, and again to its end. Throws where it ended otherwise, or did not go on where it stopped. */
async function killedAndResumed({ name, args, env, reached, seconds }: Job): Promise<void> {
  process.stdout.write(`${name}\n`);
  let at = 0;
  let left: number | undefined;
  const first = await watchedRun(args, {
    env,
    onLine: (line) => {
      at = Math.max(at, reached(line) ?? 0);
      left = reached(line) === null ? left : ((line['eta_seconds'] as number | undefined) ?? left);
      return at >= killAt * seconds;
    },
  });
  if (!first.killed) throw new LodestoneError(ExitCode.internal, `${name}: ended before it was killed, with ${first.code}: ${first.stderr}`);
  show(`killed at ${shortClock(at)}${left === undefined ? '' : ` (it said that ${shortClock(left)} were left)`}`, first, at);
  const stopped = at;
  const lines: number[] = [];
  const second = await watchedRun(args, {
    env,
    onLine: (line) => {
      const now = reached(line);
      if (now === null) return false;
      lines.push(now);
      return false;
    },
  });
  if (second.code !== 0) throw new LodestoneError(ExitCode.internal, `${name}: ended with ${second.code}: ${second.stderr}`);
  const back = lines.findIndex((now, i) => now < (lines[i - 1] ?? 0) - windowSeconds);
  if (back >= 0) throw new LodestoneError(ExitCode.internal, `${name}: went back from ${lines[back - 1]} to ${lines[back]}`);
  show('went on to its end', second, seconds - stopped);
}

/** Asks again, when everything is kept. */
async function askedAgain(name: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  let answer: Line | undefined;
  const run = await watchedRun(args, {
    env,
    onLine: (line) => {
      if (line['type'] === 'answer') answer = line['answer'] as Line;
      return false;
    },
  });
  if (run.code !== 0 || !answer) throw new LodestoneError(ExitCode.internal, `${name}: ended with ${run.code}: ${run.stderr}`);
  const { input, cached } = answer['tokens'] as { input: number; cached: number };
  show(`asked (${input} tokens, ${cached} from a session)`, run, 0);
}

async function measure({ speech: named, see, recording, film, threads }: Options, folder: string, home: string): Promise<void> {
  const program = await findFfmpeg();
  if (program === null) throw new LodestoneError(ExitCode.usage, 'ffmpeg makes the recordings, and there is none: set FFMPEG_BIN');
  const speech = await requireSpeech(named);
  const env = { LODESTONE_HOME: home };
  const common = ['--threads', String(threads), '--language', 'en'];
  const size = async (file: string): Promise<string> => `${((await stat(file)).size / 2 ** 20).toFixed(0)} MiB`;
  if (recording > 0) {
    const file = await longRecording(program, folder, recording);
    const name = `recording of ${shortClock(recording)}, ${await size(file)}`;
    await killedAndResumed({ name, args: ['transcribe', file, '-m', speech, '--format', 'jsonl', ...common], env, reached: heardTo, seconds: recording });
    for (let i = 0; i < 2; i++) await askedAgain(name, ['ask', question, file, '--speech', speech, '--jsonl', ...common], env);
  }
  if (film > 0) {
    const file = await longVideo(program, folder, film);
    const name = `film of ${shortClock(film)}, ${await size(file)}`;
    const args = ['ask', question, file, '--speech', speech, ...(see === undefined ? [] : ['--see', see]), '--jsonl', ...common];
    await killedAndResumed({ name: `${name}: heard`, args, env, reached: ingested('seconds of sound'), seconds: film });
    await askedAgain(name, args, env);
    if (see === undefined) return;
    // What was seen is forgotten, what was heard is not.
    await rm(path.join(home, 'cache', 'pictures'), { recursive: true, force: true });
    await rm(path.join(home, 'cache', 'sessions'), { recursive: true, force: true });
    await killedAndResumed({ name: `${name}: read in its pictures`, args, env, reached: ingested('seconds of pictures'), seconds: film });
  }
}

async function main(): Promise<void> {
  const options = new Command('long-media')
    .description('Hours of sound and film in bounded memory, killed and resumed once. Everything is made in a folder that is removed at the end.')
    .option('--speech <model>', 'as in ask')
    .option('--see <folder>', 'as in ask; without it the pictures are not looked at')
    .option('--recording <time>', 'its length; 0: none', time, 36_000)
    .option('--film <time>', 'its length; 0: none', time, 10_800)
    .option('--threads <n>', 'of the cpu device', integer(1), 2)
    .option('--folder <path>', 'keeps what is made in it, for the next run')
    .parse()
    .opts<Options>();
  if (options.folder !== undefined) await mkdir(options.folder, { recursive: true });
  const folder = options.folder ?? (await mkdtemp(path.join(tmpdir(), 'lodestone-long-')));
  // Of its own each time: a run finds nothing of an earlier one.
  const home = await mkdtemp(path.join(folder, 'home-'));
  try {
    await measure(options, folder, home);
  } finally {
    await rm(options.folder === undefined ? folder : home, { recursive: true, force: true });
  }
}

await main();
