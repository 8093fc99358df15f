// Builds the CPU device's addon, build/lodestone-cpu.node, with the C++ compiler that the machine has.
//
// Runs in `npm install`. Quiet when it works. Where it can't, one line says why and what to do, and the exit status is
// still 0: Lodestone then runs on its reference device. `--force` builds again even if nothing has changed.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
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
  const plain = ['addon', 'commands', 'decode', 'engine', 'isa', 'memory', 'pool'].map((name) => [name, `${name}.cc`, ['-isystem', headers]]);
  const kernels = (variants[process.arch] ?? [['scalar', 'SCALAR', []]]).map(([name, macro, flags]) => [
    `variant-${name}`,
    'variant.cc',
    [`-DLODESTONE_ISA=${name}`, `-DLODESTONE_ISA_${macro}`, '-fno-exceptions', '-fno-rtti', ...flags],
  ]);
  return [...kernels, ...plain];
}

function findCompiler() {
  const candidates = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  for (const name of candidates) {
    const version = spawnSync(name, ['--version'], { encoding: 'utf8' });
    if (version.status === 0) return { name, version: version.stdout.split('\n')[0] };
  }
  return null;
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

/** Why there will be no addon, for people. */
class NotBuilt extends Error {}

function giveUp(why) {
  throw new NotBuilt(why);
}

function explain(why) {
  const install =
    process.platform === 'darwin' ? "Xcode's command line tools (xcode-select --install)" : 'a C++20 compiler, such as g++ 11 or clang 14 (Debian and Ubuntu: apt install g++)';
  console.error(
    `lodestone: the CPU device was not built (${why}); the slow reference device will be used. To get it: install ${install}; then run node ${fileURLToPath(import.meta.url)}`,
  );
}

async function main() {
  if (process.platform !== 'linux' && process.platform !== 'darwin') giveUp(`${process.platform} is not supported by it yet`);
  let headers;
  try {
    headers = join(dirname(fileURLToPath(import.meta.resolve('node-api-headers'))), 'include');
  } catch {
    giveUp('the package node-api-headers is missing');
  }
  const compiler = findCompiler();
  if (!compiler) giveUp(process.env.CXX ? `the compiler ${process.env.CXX}, named by CXX, does not run` : 'no C++ compiler was found');

  const list = objects(headers);
  const linkFlags = process.platform === 'darwin' ? ['-bundle', '-undefined', 'dynamic_lookup'] : ['-shared', '-pthread'];
  const hash = createHash('sha256').update(JSON.stringify([compiler, common, list.map(([name, file, flags]) => [name, file, flags.filter((flag) => flag !== headers)]), linkFlags]));
  for (const file of readdirSync(sources).sort()) {
    if (/\.(cc|h)$/.test(file)) hash.update(file).update('\0').update(readFileSync(join(sources, file)));
  }
  const digest = hash.digest('hex');
  if (!process.argv.includes('--force') && existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;

  mkdirSync(join(root, 'build'), { recursive: true });
  const work = mkdtempSync(join(root, 'build', 'work-'));
  try {
    const compile = list.map(([name, file, flags]) => () => run(compiler.name, [...common, ...flags, '-c', join(sources, file), '-o', join(work, `${name}.o`)]));
    let failed = (await inParallel(compile, Math.min(8, availableParallelism()))).find((result) => !result.ok);
    const linked = join(work, 'lodestone-cpu.node');
    if (!failed) {
      const link = await run(compiler.name, [...list.map(([name]) => join(work, `${name}.o`)), ...linkFlags, '-o', linked]);
      if (!link.ok) failed = link;
    }
    if (failed) {
      writeFileSync(join(root, 'build', 'lodestone-cpu.log'), failed.output);
      rmSync(target, { force: true }); // of other sources, so it no longer fits
      rmSync(stamp, { force: true });
      const first = failed.output.split('\n').find((line) => /error|cannot|unable/i.test(line)) ?? failed.output.split('\n')[0];
      giveUp(`${compiler.name} failed: ${first.trim().slice(0, 200)}; all of it is in build/lodestone-cpu.log`);
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
  explain(error.message); // a full disk and the like too: the installation goes on
}
