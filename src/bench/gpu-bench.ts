/** The GPU bench; see `usage`. It needs Node, npm `webgpu` and this build, and nothing else: no compiler, no network, no model. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureLimits } from '../device/limits.js';
import { createWebGpuDevice, type WebGpuDevice } from '../device/webgpu/device.js';
import { ExitCode } from '../errors.js';
import { packageRoot } from '../paths.js';
import { CellFile, cellsMarkdown, depths, measureCell, openRandom, profileModel } from './gpu-cells.js';
import { checkKernels } from './kernel-checks.js';
import { gemma12b, gemma1b, gemma270m, gemma4b, toyShape, type RandomFormat, type Shape } from './random-model.js';

const usage = `Usage: node dist/bench/gpu-bench.js DIR [--model 270m|1b|4b|12b|toy]... [--format q4_0|q8_0|bf16]... [--depth N]... [--minutes N]
                                        [--no-check] [--software] [--profile]

  Checks every kernel against the reference, then measures reading and generating with random weights of Gemma 3's shapes.
  DIR keeps what is done, so that the same command goes on after an interruption, and gets table.md.
  --minutes N   start nothing new after so long (default 8), and say what is left
  --no-check    measure only
  --software    also on a driver that computes on the processor
  --profile     also where the time goes, kernel by kernel, at the largest depth`;

const shapes: Readonly<Record<string, Shape>> = { '270m': gemma270m, '1b': gemma1b, '4b': gemma4b, '12b': gemma12b, toy: toyShape };
const formats: readonly RandomFormat[] = ['q4_0', 'q8_0', 'bf16'];

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

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    allowNegative: true,
    options: {
      model: { type: 'string', multiple: true, default: ['270m', '1b', '4b', '12b'] },
      format: { type: 'string', multiple: true, default: [...formats] },
      depth: { type: 'string', multiple: true, default: depths.map(String) },
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
  const wrong = values.model.find((name) => !(name in shapes));
  if (wrong !== undefined) throw new TypeError(`--model is ${Object.keys(shapes).join(', ')}, not "${wrong}"`);
  const chosen = values.format.map((name) => {
    const format = formats.find((known) => known === name);
    if (!format) throw new TypeError(`--format is ${formats.join(', ')}, not "${name}"`);
    return format;
  });
  const wanted = values.depth.map((depth) => count(depth, '--depth'));
  const end = performance.now() + count(values.minutes, '--minutes') * 60_000;

  linkWebgpu();
  const device = await createWebGpuDevice({ software: values.software });
  if ('unavailable' in device) {
    process.stderr.write(`lodestone: ${device.unavailable}\n`);
    return ExitCode.internal;
  }
  try {
    process.stdout.write(`${device.description}\n`);
    if (values.check && !(await check(device))) return ExitCode.gateFailed;
    mkdirSync(folder, { recursive: true });
    const file = new CellFile(join(folder, 'cells.json'));
    const limits = await measureLimits(device);
    let left = 0;
    for (const name of values.model) {
      for (const format of chosen) {
        const todo = wanted.filter((depth) => !file.has({ adapter: device.adapter.name, kernels: device.kernels, model: shapes[name]!.name, format, depth }));
        if (todo.length === 0 && !values.profile) continue;
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
          if (values.profile) process.stdout.write(`${await profileModel(device, model, Math.max(...wanted), limits)}\n`);
        } finally {
          model.close();
        }
      }
    }
    const table = cellsMarkdown(file.of(device), limits);
    writeFileSync(join(folder, 'table.md'), table);
    process.stdout.write(`\n${table}${left > 0 ? `\nNot done yet: ${left} of the cells; run the same command again\n` : ''}`);
  } finally {
    await device.close();
  }
  return ExitCode.ok;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`lodestone: ${error instanceof Error ? error.message : String(error)}\n${error instanceof TypeError ? `${usage}\n` : ''}`);
  process.exitCode = error instanceof TypeError ? ExitCode.usage : ExitCode.internal;
}
