/** The GPU bench; see `usage`. It needs Node, npm `webgpu` and this build, and nothing else: no compiler, no network, no model. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureLimits, type Limits } from '../device/limits.js';
import { createWebGpuDevice, type WebGpuDevice } from '../device/webgpu/device.js';
import type { TierName } from '../device/webgpu/tier.js';
import { ExitCode } from '../errors.js';
import { packageRoot } from '../paths.js';
import { CellFile, cellsMarkdown, depths, measureCell, openRandom, profileModel, type GpuCell } from './gpu-cells.js';
import { checkKernels } from './kernel-checks.js';
import { runBench } from './run-bench.js';
import { gemma12b, gemma1b, gemma270m, gemma4b, toyShape, type RandomFormat, type Shape } from './random-model.js';

const usage = `Usage: node dist/bench/gpu-bench.js DIR [--model 270m|1b|4b|12b|toy]... [--format q4_0|q8_0|bf16]... [--depth N]... [--tier plain|subgroups|f16]...
                                        [--minutes N] [--no-check] [--software] [--profile]

  Checks every kernel against the reference, then measures reading and generating with random weights of Gemma 3's shapes.
  DIR keeps what is done, so that the same command goes on after an interruption, and gets table.md.
  --tier T      a variant of the kernels (default: all that the adapter offers, one after another)
  --minutes N   start nothing new after so long (default 8), and say what is left
  --no-check    measure only
  --software    also on a driver that computes on the processor
  --profile     also where the time goes, kernel by kernel, at the largest depth`;

const shapes: Readonly<Record<string, Shape>> = { '270m': gemma270m, '1b': gemma1b, '4b': gemma4b, '12b': gemma12b, toy: toyShape };
const formats: readonly RandomFormat[] = ['q4_0', 'q8_0', 'bf16'];
/** What --device auto takes comes first: time may be up before the others. */
const tiers: readonly TierName[] = ['subgroups', 'plain', 'f16'];

/** A machine without a network has npm webgpu beside its Node, where modules of this package are not looked for. */
function linkWebgpu(): void {
  const here = join(packageRoot, 'node_modules', 'webgpu');
  const beside = join(dirname(dirname(process.execPath)), 'node_modules', 'webgpu');
  if (existsSync(here) || !existsSync(beside)) return;
  mkdirSync(dirname(here), { recursive: true });
  symlinkSync(beside, here);
}

async function check(device: WebGpuDevice): Promise<boolean> {
  let failed = 0;
  let count = 0;
  for await (const { name, error, most } of checkKernels(device)) {
    count++;
    if (error <= most) continue;
    failed++;
    process.stdout.write(`WRONG: ${name}: off by ${error.toExponential(1)}, at most ${most.toExponential(0)} is right\n`);
  }
  process.stdout.write(`${count - failed} of ${count} checks of kernels against the reference passed\n`);
  return failed === 0;
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new TypeError(`${name} must be a positive number, not "${text}"`);
  return value;
}

/** One of several words, or TypeError. */
function oneOf<T extends string>(words: readonly T[], name: string, word: string): T {
  const known = words.find((each) => each === word);
  if (known === undefined) throw new TypeError(`${name} is ${words.join(', ')}, not "${word}"`);
  return known;
}

interface Wanted {
  readonly models: readonly string[];
  readonly formats: readonly RandomFormat[];
  readonly depths: readonly number[];
  readonly profile: boolean;
  /** Nothing new is started after it, in performance.now(). */
  readonly end: number;
}

/** Measures the cells that the file lacks. Resolves to how many are left where the time is up. */
async function measure(device: WebGpuDevice, { models, formats: wantedFormats, depths: wantedDepths, profile, end }: Wanted, file: CellFile, limits: Limits): Promise<number> {
  let left = 0;
  for (const name of models) {
    for (const format of wantedFormats) {
      const todo = wantedDepths.filter((depth) => !file.has({ adapter: device.adapter.name, kernels: device.kernels, model: shapes[name]!.name, format, depth }));
      if (todo.length === 0 && !profile) continue;
      if (performance.now() > end) {
        left += todo.length;
        continue;
      }
      const model = await openRandom(device, shapes[name]!, format);
      try {
        for (const depth of todo) {
          if (performance.now() > end) {
            left++;
            continue;
          }
          const cell = await measureCell(device, model, depth, limits);
          file.add(cell);
          process.stdout.write(`${cell.model} ${format} at ${depth}: reading ${cell.prefill.toFixed(1)} tok/s, generating ${cell.decode.toFixed(1)} tok/s\n`);
        }
        if (profile) process.stdout.write(`${await profileModel(device, model, Math.max(...wantedDepths), limits)}\n`);
      } finally {
        model.close();
      }
    }
  }
  return left;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      model: { type: 'string', multiple: true, default: ['270m', '1b', '4b', '12b'] },
      format: { type: 'string', multiple: true, default: [...formats] },
      depth: { type: 'string', multiple: true, default: depths.map(String) },
      tier: { type: 'string', multiple: true, default: [...tiers] },
      minutes: { type: 'string', default: '8' },
      check: { type: 'boolean', default: true },
      software: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return ExitCode.ok;
  }
  const [folder] = positionals;
  if (folder === undefined || positionals.length > 1) throw new TypeError('one folder is needed');
  const wanted: Wanted = {
    models: values.model.map((name) => oneOf(Object.keys(shapes), '--model', name)),
    formats: values.format.map((name) => oneOf(formats, '--format', name)),
    depths: values.depth.map((depth) => count(depth, '--depth')),
    profile: values.profile,
    end: performance.now() + count(values.minutes, '--minutes') * 60_000,
  };
  const chosen = values.tier.map((name) => oneOf(tiers, '--tier', name));

  linkWebgpu();
  mkdirSync(folder, { recursive: true });
  const file = new CellFile(join(folder, 'cells.json'));
  const cells: GpuCell[] = [];
  // Of the first tier: shares of all tiers are shares of the same.
  let limits: Limits | undefined;
  let left = 0;
  for (const tier of chosen) {
    const device = await createWebGpuDevice({ software: values.software, tier });
    if ('unavailable' in device) {
      process.stderr.write(`lodestone: ${device.unavailable}\n`);
      return ExitCode.internal;
    }
    try {
      if (device.tier.name !== tier) {
        process.stdout.write(`${device.adapter.name} does not offer the tier ${tier}\n`);
        continue;
      }
      process.stdout.write(`${device.description}\n`);
      if (values.check && !(await check(device))) return ExitCode.gateFailed;
      limits ??= await measureLimits(device);
      left += await measure(device, wanted, file, limits);
      cells.push(...file.of(device));
    } finally {
      await device.close();
    }
  }
  if (!limits) return ExitCode.ok;
  const table = cellsMarkdown(cells, limits);
  writeFileSync(join(folder, 'table.md'), table);
  process.stdout.write(`\n${table}${left > 0 ? `\nNot done yet: ${left} of the cells; run the same command again\n` : ''}`);
  return ExitCode.ok;
}

await runBench(main, usage);
