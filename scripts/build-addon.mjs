// Builds the CPU device's addon, build/lodestone-cpu.node, with the C++ compiler that the machine has.
//
// Runs in `npm install`. Quiet when it works. Where it can't, one line says why and what to do, and the exit status is
// still 0: Lodestone then runs on its reference device. `--force` builds again even if nothing has changed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const sources = join(root, 'kernels', 'cpu');
const target = join(root, 'build', 'lodestone-cpu.node');
const stamp = join(root, 'build', 'lodestone-cpu.sha256');

/**
 * Flags for every object. No contraction: a fused multiply-add happens where the source says so. Never -ffast-math. No
 * aliasing rules: scratch memory serves many types.
 */
const common = ['-std=c++20', '-O3', '-fPIC', '-fvisibility=hidden', '-ffp-contract=off', '-fno-math-errno', '-fno-strict-aliasing'];

/** Instruction-set variants of the kernels, by processor: name, macro, compiler flags. */
const variants = {
  x64: [
    ['avx512', 'AVX512', ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mavx512vnni', '-mavx512bf16', '-mavx2', '-mfma', '-mf16c']],
    ['avxvnni', 'AVXVNNI', ['-mavxvnni', '-mavx2', '-mfma', '-mf16c']],
    ['avx2', 'AVX2', ['-mavx2', '-mfma', '-mf16c']],
    ['scalar', 'SCALAR', []],
  ],
  arm64: [
    ['neon', 'NEON', ['-march=armv8.2-a+dotprod']],
    ['scalar', 'SCALAR', []],
  ],
};

/** Object name, source file, flags. */
function objects(headers) {
  const plain = ['addon', 'commands', 'decode', 'engine', 'isa', 'memory', 'pool', 'sample'].map((name) => [name, `${name}.cc`, ['-isystem', headers]]);
  const kernels = (variants[process.arch] ?? [['scalar', 'SCALAR', []]]).map(([name, macro, flags]) => [
    `variant-${name}`,
    'variant.cc',
    [`-DLODESTONE_ISA=${name}`, `-DLODESTONE_ISA_${macro}`, '-fno-exceptions', '-fno-rtti', ...flags],
  ]);
  return [...kernels, ...plain];
}

/** CXX, as make and others take it: a path, or a command with arguments ("ccache g++"). */
const named = process.env.CXX?.trim();

function findCompiler() {
  const candidates = named ? [[named], named.split(/\s+/)] : [['c++'], ['g++'], ['clang++']];
  for (const command of candidates) {
    const version = spawnSync(command[0], [...command.slice(1), '--version'], { encoding: 'utf8' });
    if (version.status === 0) return { command, version: version.stdout.split('\n')[0] };
  }
  return null;
}

/** A path as a shell takes it. */
function quoted(path) {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    let output = '';
    child.stderr.on('data', (data) => (output += data));
    child.on('error', (error) => resolve({ ok: false, output: error.message }));
    child.on('close', (status) => resolve({ ok: status === 0, output }));
  });
}

async function inParallel(jobs, width) {
  const results = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < jobs.length) {
        const job = jobs[next++];
        results.push(await job());
      }
    }),
  );
  return results;
}

/** Why there will be no addon, and what to do about it (null: nothing helps), for people. */
class NotBuilt extends Error {
  constructor(why, advice) {
    super(why);
    this.advice = advice;
  }
}

const installCompiler = `install ${
  process.platform === 'darwin' ? "Xcode's command line tools (xcode-select --install)" : 'a C++20 compiler, such as g++ 11 or clang 14 (Debian and Ubuntu: apt install g++)'
}`;

function explain(error) {
  const again = `run node ${quoted(fileURLToPath(import.meta.url))}`;
  // Anything but a NotBuilt, such as a full disk, says itself what to do.
  const advice = !(error instanceof NotBuilt) ? `${again} once that is mended` : error.advice && `${error.advice}; then ${again}`;
  console.error(
    `lodestone: the CPU device was not built (${error.message}); the slow reference device will be used.${advice ? ` To get it: ${advice}` : ''}`,
  );
}

/** Removes what builds that were killed have left; a build in progress is younger than an hour. */
function sweep(folder) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name.startsWith('work-') && Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity) > 3_600_000) {
      rmSync(path, { recursive: true, force: true });
    }
  }
}

async function main() {
  if (process.platform !== 'linux' && process.platform !== 'darwin') throw new NotBuilt(`${process.platform} is not supported by it yet`, null);
  let headers;
  try {
    headers = join(dirname(fileURLToPath(import.meta.resolve('node-api-headers'))), 'include');
  } catch {
    throw new NotBuilt('the package node-api-headers is missing', 'run npm install');
  }
  const compiler = findCompiler();
  if (!compiler) throw new NotBuilt(named ? `the compiler ${named}, named by CXX, does not run` : 'no C++ compiler was found', installCompiler);
  const [program, ...programArgs] = compiler.command;

  const list = objects(headers);
  const linkFlags = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
  const hash = createHash('sha256').update(JSON.stringify([compiler, common, list.map(([name, file, flags]) => [name, file, flags.filter((flag) => flag !== headers)]), linkFlags]));
  for (const file of readdirSync(sources).sort()) {
    if (/\.(cc|h)$/.test(file)) hash.update(file).update('\0').update(readFileSync(join(sources, file)));
  }
  const digest = hash.digest('hex');
  if (!process.argv.includes('--force') && existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;

  mkdirSync(join(root, 'build'), { recursive: true });
  sweep(join(root, 'build'));
  const work = mkdtempSync(join(root, 'build', 'work-'));
  try {
    const compile = list.map(([name, file, flags]) => () => run(program, [...programArgs, ...common, ...flags, '-c', join(sources, file), '-o', join(work, `${name}.o`)]));
    let failed = (await inParallel(compile, Math.min(8, availableParallelism()))).find((result) => !result.ok);
    const linked = join(work, 'lodestone-cpu.node');
    if (!failed) {
      const link = await run(program, [...programArgs, ...list.map(([name]) => join(work, `${name}.o`)), ...linkFlags, '-o', linked]);
      if (!link.ok) failed = link;
    }
    if (failed) {
      writeFileSync(join(root, 'build', 'lodestone-cpu.log'), failed.output);
      rmSync(target, { force: true }); // of other sources, so it no longer fits
      rmSync(stamp, { force: true });
      const first = failed.output.split('\n').find((line) => /error|cannot|unable/i.test(line)) ?? failed.output.split('\n')[0];
      throw new NotBuilt(`${compiler.command.join(' ')} failed: ${first.trim().slice(0, 200)}; all of it is in build/lodestone-cpu.log`, installCompiler);
    }
    renameSync(linked, target);
    writeFileSync(stamp, digest);
    rmSync(join(root, 'build', 'lodestone-cpu.log'), { force: true });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  explain(error); // a full disk and the like too: the installation goes on
}
