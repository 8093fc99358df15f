/** Runs the program as a user does, watches the memory of its whole process tree, and kills it in the middle where that is asked for. */
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { packageRoot } from '../paths.js';

/** A line of JSON that the program printed. */
export type Line = Readonly<Record<string, unknown>>;

export interface WatchOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Sees every line; true: kill it now, with no time to tidy up. */
  readonly onLine: (line: Line) => boolean;
}

export interface WatchedRun {
  readonly seconds: number;
  /** Of processor time, of all processes that were seen. */
  readonly cpuSeconds: number;
  /** The most memory of the tree (resident, MiB) in each fifth of the run: what grows with length shows here. */
  readonly peaks: readonly number[];
  readonly killed: boolean;
  readonly code: number | null;
  /** The last of it. */
  readonly stderr: string;
}

const sampleMs = 500;

/** @param args of lodestone; it prints JSON lines */
export async function watchedRun(args: readonly string[], { env, onLine }: WatchOptions): Promise<WatchedRun> {
  const started = performance.now();
  const child = spawn(process.execPath, [path.join(packageRoot, 'bin', 'lodestone.js'), ...args], { env: { ...process.env, NO_COLOR: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [killed, stderr] = [false, ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
  });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (text) => {
    if (killed || !text.startsWith('{') || !onLine(JSON.parse(text) as Line)) return;
    killed = true;
    child.kill('SIGKILL');
  });
  const samples: number[] = [];
  const cpu = new Map<number, number>();
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  while (child.exitCode === null && child.signalCode === null) {
    const tree = await processTree(child.pid ?? 0);
    if (tree.length > 0) samples.push(tree.reduce((sum, { rssKib }) => sum + rssKib, 0) / 1024);
    for (const { pid, cpuSeconds } of tree) cpu.set(pid, cpuSeconds);
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, sampleMs))]);
  }
  const code = await ended;
  const fifth = Math.max(1, Math.ceil(samples.length / 5));
  const peaks = Array.from({ length: Math.ceil(samples.length / fifth) }, (_, i) => Math.max(...samples.slice(i * fifth, (i + 1) * fifth)));
  return { seconds: (performance.now() - started) / 1e3, cpuSeconds: [...cpu.values()].reduce((sum, one) => sum + one, 0), peaks, killed, code, stderr };
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly rssKib: number;
  readonly cpuSeconds: number;
}

/** A process and those below it; empty once it is gone. */
async function processTree(root: number): Promise<Process[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,rss=,time='], { maxBuffer: 2 ** 26 });
  const all = stdout.trim().split('\n').map((line): Process => {
    const [pid, parent, rssKib, time] = line.trim().split(/\s+/) as [string, string, string, string];
    return { pid: Number(pid), parent: Number(parent), rssKib: Number(rssKib), cpuSeconds: clockSeconds(time) };
  });
  const tree = all.filter(({ pid }) => pid === root);
  for (const one of tree) tree.push(...all.filter(({ parent }) => parent === one.pid));
  return tree;
}

/** [[days-]hours:]minutes:seconds */
function clockSeconds(text: string): number {
  const [days, clock] = text.includes('-') ? (text.split('-') as [string, string]) : ['0', text];
  return clock.split(':').reduce((sum, part) => 60 * sum + Number(part), 0) + 86_400 * Number(days);
}
