/**
 * What the GPU bench measures: reading and generating at several depths, a cell for each model and format, with the share of what
 * the device can do. Cells are kept in a file as they are done, by adapter and kernels, so that a run that is cut short goes on.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Limits } from '../device/limits.js';
import { formatProfile, Profile, profileReport } from '../device/profile.js';
import type { WebGpuDevice } from '../device/webgpu/device.js';
import type { TierName } from '../device/webgpu/tier.js';
import { Context } from '../runtime/context.js';
import { kvRowBytes } from '../device/kvLayout.js';
import { benchTokens } from './measure.js';
import { writeJson } from './run-bench.js';
import { randomModel, type RandomFormat, type RandomModel, type Shape } from './random-model.js';

/** Of one model, format and depth. */
export interface GpuCell {
  readonly adapter: string;
  /** Of the tier, too. */
  readonly kernels: string;
  readonly tier: TierName;
  readonly date: string;
  readonly model: string;
  readonly format: RandomFormat;
  readonly depth: number;
  /** Tokens per second: of reading `depth` tokens from the first on, and of generating at that depth. */
  readonly prefill: number;
  readonly decode: number;
  /** Shares of the measured rate of products, and of the measured bandwidth. */
  readonly prefillShare: number;
  readonly decodeShare: number;
}

/** Tokens that are generated, after a few that warm up. */
const generated = 32;
const warmUp = 8;

/** What is longer is not read whole, but `samples` chunks of it, evenly spread: what a chunk takes grows evenly with its depth. */
const readWhole = 4096;
const samples = 9;
const chunk = 512;

export const depths = [512, 4096, 32_768, 131_072] as const;

export interface OpenModel extends RandomModel {
  readonly shape: Shape;
  readonly format: RandomFormat;
  /** Bytes of all matrices, the embedding among them: it is the head too. */
  readonly bytes: number;
  close(): void;
}

export async function openRandom(device: WebGpuDevice, shape: Shape, format: RandomFormat): Promise<OpenModel> {
  const model = await randomModel(device, shape, format, (weight) => device.copyWeight(weight));
  const { embedding, layers, buffers } = model.weights;
  return {
    ...model,
    shape,
    format,
    bytes: model.weights.bytes,
    close: () => {
      for (const buffer of buffers) device.destroyBuffer(buffer);
      for (const weight of [embedding, ...layers.flatMap(({ q, k, v, o, gate, up, down }) => [q, k, v, o, gate, up, down])]) device.destroyWeight(weight);
    },
  };
}

/** A context at some depth, whose keys and values are zeros: what they are changes nothing in the time. */
function contextAt(model: OpenModel, depth: number, positions: number): Context {
  const context = new Context(model, { chunk, positions: depth + positions });
  if (depth > 0) context.resume(benchTokens(depth, model.config.vocabSize), [], { length: depth, storedFrom: model.config.layers.map(() => 0) });
  return context;
}

async function secondsToRead(model: OpenModel, depth: number, tokens: number): Promise<number> {
  const context = contextAt(model, depth, 1 + tokens);
  try {
    // Memory for all positions is had, and zeroed by the driver, before the clock starts.
    await context.prefill([5], { logits: false });
    const began = performance.now();
    await context.prefill(benchTokens(tokens, model.config.vocabSize));
    return (performance.now() - began) / 1000;
  } finally {
    context.close();
  }
}

async function readingRate(model: OpenModel, tokens: number): Promise<number> {
  await secondsToRead(model, 0, Math.min(tokens, chunk));
  if (tokens <= readWhole) return tokens / (await secondsToRead(model, 0, tokens));
  let seconds = 0;
  for (let i = 0; i < samples; i++) seconds += await secondsToRead(model, Math.round((i * (tokens - chunk)) / (samples - 1)), chunk);
  return (samples * chunk) / seconds;
}

async function generate(context: Context, count: number): Promise<void> {
  const sampling = { temperature: 0 };
  let token = 5;
  for (let step = 0; step < count; step++) token = (await context.draw(token, { sampling, step, most: count - step })).id;
}

async function generatingRate(model: OpenModel, depth: number): Promise<number> {
  const context = contextAt(model, depth, 2 * (generated + warmUp));
  try {
    await generate(context, warmUp);
    const began = performance.now();
    await generate(context, generated);
    return (generated * 1000) / (performance.now() - began);
  } finally {
    context.close();
  }
}

/** Positions that a context of the model can still generate after. */
function deepest({ config }: OpenModel, depth: number): number {
  return Math.min(depth, config.maxPositions - 2 * (generated + warmUp));
}

/** Bytes of keys and values that a token reads at a depth; local layers in f32, global ones in f16, as contexts have them. */
function kvBytesRead({ config }: OpenModel, depth: number): number {
  const perPosition = (format: 'f32' | 'f16'): number => 2 * config.kvHeads * kvRowBytes(format, config.headDim);
  return config.layers.reduce((sum, { kind }) => sum + (kind === 'local' ? Math.min(depth, config.window) * perPosition('f32') : depth * perPosition('f16')), 0);
}

/** Multiplications and additions of reading a token, on average over `tokens`; only the last one needs the head. */
function operationsPerToken({ config, shape }: OpenModel, tokens: number): number {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, layers, window } = shape;
  const perLayer = 2 * (d * (heads + 2 * kvHeads) * headDim + heads * headDim * d + 3 * d * f);
  const attention = config.layers.reduce((sum, { kind }) => sum + 4 * heads * headDim * (kind === 'local' ? Math.min(window, tokens / 2) : tokens / 2), 0);
  return layers * perLayer + attention;
}

export async function measureCell(device: WebGpuDevice, model: OpenModel, depth: number, limits: Limits): Promise<GpuCell> {
  const at = deepest(model, depth);
  const prefill = await readingRate(model, at);
  const decode = await generatingRate(model, at);
  return {
    adapter: device.adapter.name,
    kernels: device.kernels,
    tier: device.tier.name,
    date: new Date().toISOString().slice(0, 10),
    model: model.shape.name,
    format: model.format,
    depth,
    prefill,
    decode,
    prefillShare: (prefill * operationsPerToken(model, at)) / limits.matMul,
    decodeShare: (decode * (model.bytes + kvBytesRead(model, at))) / limits.copy,
  };
}

/** Where the time of reading a chunk and of generating goes. The device is slower from then on. */
export async function profileModel(device: WebGpuDevice, model: OpenModel, depth: number, limits: Limits): Promise<string> {
  const at = deepest(model, depth);
  const parts = [['reading', () => secondsToRead(model, at - Math.min(at, chunk), Math.min(at, chunk))], ['generating', () => generatingRate(model, at)]] as const;
  const texts: string[] = [];
  for (const [what, run] of parts) {
    const profile = new Profile();
    device.profileInto(profile);
    await run();
    texts.push(`${model.shape.name}, ${model.format}, ${what} at ${depth}\n${formatProfile(profileReport(device, profile, limits))}`);
  }
  return texts.join('\n');
}

/** Cells done so far, of any adapter. */
export class CellFile {
  readonly #path: string;
  #cells: GpuCell[];

  /** @param path of a JSON file, made where there is none */
  constructor(path: string) {
    this.#path = path;
    this.#cells = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as GpuCell[]) : [];
  }

  has(wanted: Pick<GpuCell, 'adapter' | 'kernels' | 'model' | 'format' | 'depth'>): boolean {
    return this.#cells.some((cell) => (Object.keys(wanted) as (keyof typeof wanted)[]).every((key) => cell[key] === wanted[key]));
  }

  add(cell: GpuCell): void {
    this.#cells.push(cell);
    writeJson(this.#path, this.#cells);
  }

  of({ adapter, kernels }: { readonly adapter: { readonly name: string }; readonly kernels: string }): readonly GpuCell[] {
    return this.#cells.filter((cell) => cell.adapter === adapter.name && cell.kernels === kernels);
  }
}

function threeDigits(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Models, formats and depths as they were measured first, the tiers of each below one another. */
function inRows(cells: readonly GpuCell[]): readonly GpuCell[] {
  const key = ({ model, format, depth }: GpuCell): string => `${model} ${format} ${depth}`;
  const order = [...new Set(cells.map(key))];
  return cells.toSorted((a, b) => order.indexOf(key(a)) - order.indexOf(key(b)));
}

/** For BENCHMARKS.md. */
export function cellsMarkdown(cells: readonly GpuCell[], limits: Limits): string {
  if (cells.length === 0) return 'Nothing measured yet.\n';
  const { adapter, date } = cells.at(-1)!;
  const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
  const rate = (perSecond: number): string => perSecond.toFixed(perSecond < 100 ? 1 : 0);
  return [
    `${adapter}, ${date}. Random weights. Copies ${threeDigits(limits.copy / 1e9)} GB/s; products of our own reach ${threeDigits(limits.matMul / 1e12)} TFLOP/s.`,
    `More than ${readWhole} tokens are not read whole: ${samples} chunks of ${chunk}, evenly spread, stand for all.`,
    '',
    '| model | weights | depth | tier | reading, tok/s | of products | generating, tok/s | of bandwidth |',
    '|---|---|---|---|---|---|---|---|',
    ...inRows(cells).map(({ model, format, depth, tier, prefill, decode, prefillShare, decodeShare }) => `| ${model} | ${format} | ${depth} | ${tier} | ${rate(prefill)} | ${percent(prefillShare)} | ${rate(decode)} | ${percent(decodeShare)} |`),
    '',
  ].join('\n');
}
