/** `lodestone plan`: what a model would take on this machine, before anything is loaded or downloaded. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { ExitCode } from '../errors.js';
import { configLimits } from '../gemma/config.js';
import { publishedConfig, sizeNames, type SizeName } from '../gemma/sizes.js';
import { plannedVisionPlaces, visionBytes } from '../gemma/vision-weights.js';
import { gemmaStorage, plannedGemmaPlaces, type Quantize } from '../gemma/weights.js';
import { embeddedModelDir } from '../paths.js';
import { defaultChunk, defaultKv } from '../runtime/kv.js';
import type { ModelHeaders } from '../runtime/model.js';
import { thisMachine } from '../runtime/machine.js';
import { planMemory, type MemoryPlan } from '../runtime/memory-plan.js';
import { formatMemoryPlan } from '../ui/plan.js';
import { tokens } from './numbers.js';
import { modelHelp } from './reading-options.js';

interface PlanOptions {
  readonly model: string;
  readonly mmproj?: string;
  readonly size?: SizeName;
  readonly context?: number;
  readonly kv: KvFormat;
  readonly quantize: Quantize;
  readonly chunk: number;
  readonly rate?: number;
  readonly json?: boolean;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError('a positive number is needed');
  return value;
}

/** A published size, or the files of a model. */
async function openPlanned({ size, model, mmproj }: PlanOptions): Promise<Pick<ModelHeaders, 'id' | 'config' | 'places' | 'visionPlaces'>> {
  if (size !== undefined) {
    const config = publishedConfig(size);
    return { id: `Gemma 3 ${size.toUpperCase()}`, config, places: plannedGemmaPlaces(config), visionPlaces: config.vision && plannedVisionPlaces(config.vision, config.hiddenSize) };
  }
  const [{ openModelFiles }, { resolveModel }] = await Promise.all([import('../runtime/model.js'), import('../models/resolve.js')]);
  const place = await resolveModel(model, undefined, 'gemma3');
  return openModelFiles(place.path, { id: place.id, mmproj: mmproj ?? place.mmproj });
}

/** 4 where the context is longer than the model's, 5 where the machine has too little memory. */
export function planExitCode({ context, memory }: MemoryPlan['fits']): ExitCode {
  if (!context) return ExitCode.contextExceeded;
  return memory ? ExitCode.ok : ExitCode.outOfMemory;
}

async function run(options: PlanOptions): Promise<void> {
  const { id, config, places, visionPlaces } = await openPlanned(options);
  const plan = planMemory({
    id,
    config,
    storage: gemmaStorage(places, options.quantize),
    ...(visionPlaces ? { visionBytes: visionBytes(visionPlaces) } : {}),
    context: options.context ?? config.maxPositions,
    chunk: options.chunk,
    kv: { ...defaultKv, global: options.kv },
    machine: thisMachine(),
    ...(options.rate === undefined ? {} : { rate: options.rate }),
  });
  process.stdout.write(options.json === true ? `${JSON.stringify(plan)}\n` : formatMemoryPlan(plan));
  process.exitCode = planExitCode(plan.fits);
}

export function planCommand(): Command {
  return new Command('plan')
    .description('what a model would take on this machine: memory by kind, before anything is loaded')
    .option('-m, --model <model>', modelHelp, process.env['LODESTONE_MODEL'] || embeddedModelDir)
    .option('--mmproj <path>', 'vision part of a GGUF file (found by itself in the stores)')
    .addOption(new Option('--size <name>', 'a published size of Gemma 3 instead, in bf16: nothing of it need be here').choices(sizeNames).conflicts('model'))
    .option('--context <n>', 'positions, such as 32K (default: as many as the model was made for)', tokens(configLimits.positions))
    .addOption(new Option('--kv <format>', 'store the keys and values of global layers so').choices(kvFormats).default(defaultKv.global))
    .addOption(new Option('--quantize <format>', 'store the weight matrices smaller').choices(['none', 'q8_0', 'q4_0']).default('none'))
    .option('--chunk <n>', 'positions read at a time', tokens(configLimits.positions), defaultChunk)
    .option('--rate <n>', 'tokens per second, measured elsewhere (npm run bench): say how long reading takes', positive)
    .option('--json', 'print one JSON object (schema lodestone.memory-plan/1)')
    .action((options: PlanOptions) => run(options));
}
