/**
 * `npm run kv-cost`: what keys and values in f16 and q8_0 cost in logits, beside those in f32 on the same device: of the
 * embedded model on prose, and of random weights in layers of Gemma 3 270M's shape (see agree.ts).
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Device } from '../device/device.js';
import { selectDevice } from '../device/select.js';
import { embeddedModelDir, packageRoot } from '../paths.js';
import type { KvFormats } from '../runtime/kv.js';
import { openModel, type Model } from '../runtime/model.js';
import { agreeFile, agreePositions, agreeShape, agreeTokens, allLogits } from './agree.js';
import { compareLogits, type Agreement } from './agreement.js';
import { gemma270m } from './random-model.js';

/** The default first. */
export const costedKv: readonly KvFormats[] = [
  { local: 'f32', global: 'f16' },
  { local: 'f32', global: 'q8_0' },
  { local: 'f16', global: 'f16' },
  { local: 'q8_0', global: 'q8_0' },
];

const exact: KvFormats = { local: 'f32', global: 'f32' };

export interface KvCost {
  readonly kv: KvFormats;
  readonly agreement: Agreement;
}

/** Logits after each of these tokens, against keys and values in f32. */
export async function measureKvCost(model: Model, tokens: readonly number[]): Promise<KvCost[]> {
  const reference = await allLogits(model, tokens, exact);
  const costs: KvCost[] = [];
  for (const kv of costedKv) costs.push({ kv, agreement: compareLogits(await allLogits(model, tokens, kv), reference) });
  return costs;
}

/** The first tokens of the essays that needles are hidden in. */
async function proseTokens(model: Model, count: number): Promise<number[]> {
  const text = await readFile(join(packageRoot, 'fixtures', 'haystack', 'essays_emerson.txt'), 'utf8');
  return [model.tokenizer.controlId('<bos>'), ...(await model.tokenizer.encodeText(text.slice(0, count * 8)))].slice(0, count);
}

async function measured(device: Device, path: string, tokensOf: (model: Model) => Promise<number[]>): Promise<KvCost[]> {
  const model = await openModel(path, device);
  try {
    return await measureKvCost(model, await tokensOf(model));
  } finally {
    await model.close();
  }
}

function formatCosts(name: string, costs: readonly KvCost[]): string {
  const { positions, deviation } = costs[0]!.agreement;
  const rows = costs.map(({ kv, agreement: { top1, klMean, klMax, largestDifference } }) =>
    [kv.local, kv.global, `${(100 * top1).toFixed(2)} %`, klMean.toExponential(1), klMax.toExponential(1), largestDifference.toPrecision(2)].map((cell) => cell.padStart(11)).join(''),
  );
  const head = ['local', 'global', 'same top', 'KL, mean', 'KL, most', 'max abs'].map((cell) => cell.padStart(11)).join('');
  return `${name}: ${positions} positions, logits of standard deviation ${deviation.toFixed(2)}\n${[head, ...rows].join('\n')}\n`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { threads: { type: 'string' }, json: { type: 'boolean', default: false } } });
  const { device } = await selectDevice('cpu', values.threads === undefined ? {} : { threads: Number(values.threads) });
  const folder = await mkdtemp(join(tmpdir(), 'lodestone-kv-'));
  try {
    const shape = agreeShape(gemma270m);
    const file = await agreeFile(folder, '270m', shape, 'bf16', false);
    const results = [
      { name: 'lodestone-tiny, prose', costs: await measured(device, embeddedModelDir, (model) => proseTokens(model, 2048)) },
      { name: `${shape.name}, random weights`, costs: await measured(device, file, async () => agreeTokens(agreePositions, shape.vocabSize)) },
    ];
    if (values.json) process.stdout.write(`${JSON.stringify({ schema: 'lodestone.kv-cost/1', device: device.description, results }, null, 2)}\n`);
    else process.stdout.write(results.map(({ name, costs }) => formatCosts(name, costs)).join('\n'));
  } finally {
    await rm(folder, { recursive: true, force: true });
    await device.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
