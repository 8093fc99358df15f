/** `npm run bench`: how fast the cpu device is on this machine, beside llama.cpp where that is installed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { agreeFormats, agreePositions, agreeShape, measureAgreement } from '../bench/agree.js';
import type { Agreement } from '../bench/agreement.js';
import { headTokens, measureLong, type LongReading } from '../bench/long.js';
import { matMulRate, median, modelSpeed, type Speed } from '../bench/measure.js';
import { startPeer } from '../bench/peer.js';
import { writeRandomGguf } from '../bench/random-gguf.js';
import { runBench } from '../bench/run-bench.js';
import { measureWarm, warmText } from '../bench/warm.js';
import { measureTable, tableDepths, tableMarkdown, tableModels } from '../bench/table.js';
import { gemma1b, gemma270m, randomModel, type Shape } from '../bench/random-model.js';
import { createCpuDevice, type CpuDevice } from '../device/cpu/device.js';
import { formatProfile, startProfile } from '../device/profile.js';
import { addonHash } from '../device/cpu/native.js';
import type { KvFormat, WeightFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { ExitCode } from '../errors.js';
import { embeddedModelDir } from '../paths.js';
import { defaultKv } from '../runtime/kv.js';
import { openModel } from '../runtime/model.js';
import type { BlockFormat } from '../weights/blocks.js';

const usage = `Usage: npm run bench -- [--model 270m|1b]... [--runs N] [--prompt N] [--generate N] [--threads N] [--peer DIR] [--json]
       npm run bench -- --agree --peer DIR [--model 270m|1b]... [--format f32|bf16|f16|q8_0|q4_0]... [--threads N] [--json]
       npm run bench -- --table --peer DIR [--cell MODEL]... [--depth N]... [--runs N] [--generate N] [--threads N] [--json]
       npm run bench -- --profile [--model 270m|1b]... [--prompt N] [--generate N] [--threads N] [--json]
       npm run bench -- --warm embedded|MODEL [--runs N] [--threads N] [--json]
       npm run bench -- --long N [--kv f32|f16|q8_0] [--threads N] [--json]

  --peer DIR   also measure llama.cpp, in turn with ours; DIR is a folder where this has been run:
               npm init -y && npm install node-llama-cpp
               (a file of random weights, 0.3 GB for 270m, is written there)
  --agree      compare our logits with llama.cpp's on the same files of random weights, written to DIR, instead
  --table      reading and generating at depths of 512, 4,096 and 32,768 tokens (--depth: only these), for 270m-q8_0, 1b-q4_0,
               1b-q8_0 and 4b-q4_0 (--cell: only these), and loading, as Markdown. Each cell is kept in DIR/lodestone-table.json
               when it is done, and not measured again with the same build; without node-llama-cpp in DIR ours is measured alone
  --profile    which kernels take how long while reading and generating, beside this machine's bandwidth and arithmetic
  --warm MODEL asking again about a PDF of about 32,768 tokens, in a new process: how much sooner; MODEL as of --cell, with random
               weights, or embedded
  --long N     read N tokens with the embedded model, and ask one question of them`;

const models: Readonly<Record<string, { readonly shape: Shape; readonly format: BlockFormat }>> = {
  '270m': { shape: gemma270m, format: 'q8_0' },
  '1b': { shape: gemma1b, format: 'q4_0' },
};
const matMulFormats: readonly WeightFormat[] = ['q8_0', 'q4_0', 'bf16', 'f32'];
const tinyTokens = 32_768;

interface ModelResult {
  readonly model: string;
  readonly format: BlockFormat;
  /** Medians, tokens per second. */
  readonly ours: Speed;
  readonly peer: Speed | null;
}

interface Report {
  readonly schema: 'lodestone.bench/1';
  readonly device: string;
  /** Giga-operations per second. */
  readonly matMul: readonly { readonly format: WeightFormat; readonly rows: number; readonly rate: number }[];
  readonly embedded: { readonly format: string; readonly tokens: number; readonly prefill: number } | null;
  readonly models: readonly ModelResult[];
  readonly prompt: number;
  readonly generated: number;
  readonly runs: number;
}

interface Options {
  readonly names: readonly string[];
  readonly runs: number;
  readonly prompt: number;
  readonly generate: number;
  readonly peer: string | undefined;
}

async function measureModel(device: CpuDevice, name: string, options: Options): Promise<ModelResult> {
  const { shape, format } = models[name]!;
  const { runs, prompt, generate } = options;
  const model = await randomModel(device, shape, format);
  const peer = options.peer === undefined ? null : await openPeer(options.peer, name, device.threads);
  const ours: Speed[] = [];
  const theirs: Speed[] = [];
  try {
    // In turn, so that both see the same neighbours on the machine; the first run of each warms up.
    for (let run = 0; run <= runs; run++) {
      const our = await modelSpeed(model, prompt, generate);
      if (run > 0) ours.push(our);
      const their = await peer?.run(prompt, generate);
      if (their && run > 0) theirs.push(their);
    }
  } finally {
    peer?.close();
  }
  const medians = (speeds: readonly Speed[]): Speed => ({
    prefill: median(speeds.map(({ prefill }) => prefill)),
    decode: median(speeds.map(({ decode }) => decode)),
  });
  return { model: shape.name, format, ours: medians(ours), peer: peer && medians(theirs) };
}

async function openPeer(folder: string, name: string, threads: number): Promise<Awaited<ReturnType<typeof startPeer>>> {
  const { shape, format } = models[name]!;
  const gguf = join(folder, `lodestone-bench-${name}-${format}.gguf`);
  if (!existsSync(gguf)) await writeRandomGguf(gguf, shape, format);
  return startPeer(folder, gguf, threads, shape.vocabSize);
}

/** Reading a long text with the embedded model, stored as in its file. */
async function measureEmbedded(device: CpuDevice, runs: number): Promise<Report['embedded']> {
  if (!existsSync(join(embeddedModelDir, 'model.safetensors'))) return null;
  const model = await openModel(embeddedModelDir, device);
  const speeds: number[] = [];
  for (let run = 0; run <= runs; run++) {
    const { prefill } = await modelSpeed(model, tinyTokens, 0);
    if (run > 0) speeds.push(prefill);
  }
  await model.close();
  return { format: model.quantization, tokens: tinyTokens, prefill: median(speeds) };
}

async function measure(device: CpuDevice, options: Options): Promise<Report> {
  const matMul: Report['matMul'][number][] = [];
  for (const format of matMulFormats) {
    for (const rows of [512, 1]) matMul.push({ format, rows, rate: await matMulRate(device, format, rows) });
  }
  const embedded = await measureEmbedded(device, options.runs);
  const results: ModelResult[] = [];
  for (const name of options.names) results.push(await measureModel(device, name, options));
  return {
    schema: 'lodestone.bench/1',
    device: device.description,
    matMul,
    embedded,
    models: results,
    prompt: options.prompt,
    generated: options.generate,
    runs: options.runs,
  };
}

function print(report: Report, withPeer: boolean): void {
  const lines = [report.device, '', 'Matrix product, 2048 x 1152      512 rows          1 row'];
  for (const format of matMulFormats) {
    const rate = (rows: number): string => `${report.matMul.find((one) => one.format === format && one.rows === rows)!.rate.toFixed(0).padStart(6)} GOP/s`;
    lines.push(`  ${format.padEnd(26)} ${rate(512)}   ${rate(1)}`);
  }
  if (report.embedded) {
    const { format, tokens, prefill } = report.embedded;
    lines.push('', `Embedded model (${format}), reading ${tokens} tokens: ${prefill.toFixed(0)} tok/s`);
  }
  for (const { model, format, ours, peer } of report.models) {
    lines.push('', `${model}, ${format}, random weights${peer ? '              ours    llama.cpp   ratio' : ''}`);
    const row = (what: string, our: number, their: number | undefined): string =>
      `  ${what.padEnd(38)} ${our.toFixed(1).padStart(7)}${their === undefined ? '' : `   ${their.toFixed(1).padStart(7)}   ${(our / their).toFixed(2).padStart(6)}x`}  tok/s`;
    lines.push(row(`reading ${report.prompt} tokens`, ours.prefill, peer?.prefill), row(`generating ${report.generated} tokens`, ours.decode, peer?.decode));
  }
  lines.push('', `Medians of ${report.runs} runs.`);
  if (!withPeer) lines.push('For llama.cpp beside it: npm run bench -- --peer DIR (npm run bench -- --help).');
  process.stdout.write(`${lines.join('\n')}\n`);
}

function agreementText({ top1, topGapMax, klMean, klMax, largestDifference, deviation }: Agreement): string {
  const kl = `KL ${klMean.toExponential(1)}, at most ${klMax.toExponential(1)}`;
  return `top-1 ${(top1 * 100).toFixed(2).padStart(6)} %, else within ${topGapMax.toPrecision(2)}  ${kl}  logits within ${largestDifference.toPrecision(2)} (deviation ${deviation.toFixed(1)})`;
}

/** Our logits beside llama.cpp's, each format a line as it is done. */
async function runAgree(device: CpuDevice, names: readonly string[], formats: readonly WeightFormat[], folder: string, json: boolean): Promise<void> {
  if (!json) process.stdout.write(`${device.description}; ${agreePositions} positions, keys and values in f32 on both sides\n`);
  const results: unknown[] = [];
  for (const name of names) {
    const shape = agreeShape(models[name]!.shape);
    for (const format of formats) {
      const { agreement, exact } = await measureAgreement(device, folder, name, shape, format);
      results.push({ model: shape.name, format, agreement, exact });
      if (json) continue;
      process.stdout.write(`${shape.name}, ${format}\n`);
      const rows = [['ours and llama.cpp', agreement], ['ours and the same weights in f32', exact?.ours], ['llama.cpp and the same weights in f32', exact?.peer]] as const;
      for (const [what, of] of rows) if (of) process.stdout.write(`  ${what.padEnd(38)} ${agreementText(of)}\n`);
    }
  }
  if (json) process.stdout.write(`${JSON.stringify({ schema: 'lodestone.bench-agree/1', device: device.description, positions: agreePositions, results }, null, 2)}\n`);
}

async function runLong(device: CpuDevice, tokens: number, kv: KvFormat, json: boolean): Promise<void> {
  const model = await openModel(embeddedModelDir, device);
  let shown = 0;
  const reading = await measureLong(model, tokens, kv, (done) => {
    if (!process.stderr.isTTY || performance.now() - shown < 200) return;
    shown = performance.now();
    process.stderr.write(`\r${done} / ${tokens}`);
  });
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  process.stdout.write(json ? `${JSON.stringify({ schema: 'lodestone.bench-long/1', device: device.description, ...reading }, null, 2)}\n` : longText(device, reading));
  await model.close();
}

function longText(device: CpuDevice, { tokens, kv, prefill, cpu, kvBytes, markBytes, peakRss, question }: LongReading): string {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${[
    device.description,
    '',
    `Embedded model, reading ${tokens} tokens, keys and values of its global layer in ${kv}`,
    ...(['all', 'head', 'tail'] as const).map((part) => {
      const name = { all: 'all', head: `the first ${headTokens}`, tail: 'the last tenth' }[part];
      return `  ${name.padEnd(18)} ${prefill[part].toFixed(0).padStart(8)} tok/s  ${cpu[part].toFixed(1).padStart(6)} us of processor time each`;
    }),
    `  keys and values ${mib(kvBytes)}, a mark ${mib(markBytes)}, the process at its most ${mib(peakRss)}`,
    `  a question of it   ${question.ms.toFixed(0).padStart(8)} ms for ${question.tokens} tokens: ${JSON.stringify(question.answer)} (${question.found ? 'right' : `it is ${question.expected}`})`,
  ].join('\n')}\n`;
}

async function runProfile(device: CpuDevice, { names, prompt, generate }: Options, json: boolean): Promise<void> {
  for (const name of names) {
    const { shape, format } = models[name]!;
    const model = await randomModel(device, shape, format);
    await modelSpeed(model, prompt, generate);
    const profile = await startProfile(device);
    await modelSpeed({ ...model, device: profile.device }, prompt, generate);
    const report = profile.report();
    process.stdout.write(json ? `${JSON.stringify({ model: shape.name, format, ...report })}\n` : `${shape.name}, ${format}: reading ${prompt} tokens, generating ${generate}\n${formatProfile(report)}`);
  }
}

async function runTable(folder: string, models: readonly string[], depths: readonly number[], options: Options, threads: number | undefined, json: boolean): Promise<void> {
  const device = createCpuDevice(threads === undefined ? {} : { threads });
  if ('unavailable' in device) throw new Error(device.unavailable);
  await device.close();
  const path = join(folder, 'lodestone-table.json');
  const subject = { device: device.description, addon: addonHash() };
  const { runs, generate } = options;
  const table = await measureTable(path, { folder, models, depths, threads: device.threads, subject, runs, generate }, (what) => process.stderr.write(`${what}\n`));
  process.stdout.write(json ? `${JSON.stringify(table, null, 2)}\n` : tableMarkdown(table, subject));
}

function count(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`${name} must be a positive whole number, not "${text}"`);
  return value;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', multiple: true, default: ['270m'] },
      runs: { type: 'string', default: '5' },
      prompt: { type: 'string', default: '512' },
      generate: { type: 'string', default: '64' },
      threads: { type: 'string' },
      peer: { type: 'string' },
      long: { type: 'string' },
      warm: { type: 'string' },
      agree: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      cell: { type: 'string', multiple: true, default: Object.keys(tableModels) },
      depth: { type: 'string', multiple: true, default: tableDepths.map(String) },
      format: { type: 'string', multiple: true, default: [...agreeFormats] },
      kv: { type: 'string', default: defaultKv.global },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return ExitCode.ok;
  }
  const unknown = values.model.find((name) => !(name in models));
  if (unknown !== undefined) throw new TypeError(`--model is 270m or 1b, not "${unknown}"`);
  const kv = kvFormats.find((format) => format === values.kv);
  if (!kv) throw new TypeError(`--kv is ${kvFormats.join(', ')}, not "${values.kv}"`);
  const long = values.long === undefined ? null : count(values.long, '--long');
  const formats = values.format.map((name) => {
    const format = agreeFormats.find((known) => known === name);
    if (!format) throw new TypeError(`--format is ${agreeFormats.join(', ')}, not "${name}"`);
    return format;
  });
  if (values.agree && values.peer === undefined) throw new TypeError('--agree needs --peer DIR');
  const options: Options = {
    names: values.model,
    runs: count(values.runs, '--runs'),
    prompt: count(values.prompt, '--prompt'),
    generate: count(values.generate, '--generate'),
    peer: values.peer,
  };
  if (values.table) {
    if (values.peer === undefined) throw new TypeError('--table needs --peer DIR');
    const wrong = values.cell.find((name) => !(name in tableModels));
    if (wrong !== undefined) throw new TypeError(`--cell is ${Object.keys(tableModels).join(', ')}, not "${wrong}"`);
    const depths = values.depth.map((depth) => count(depth, '--depth'));
    await runTable(values.peer, values.cell, depths, options, values.threads === undefined ? undefined : count(values.threads, '--threads'), values.json);
    return ExitCode.ok;
  }
  const device = createCpuDevice(values.threads === undefined ? {} : { threads: count(values.threads, '--threads') });
  if ('unavailable' in device) {
    process.stderr.write(`lodestone: the cpu device can't be measured: ${device.unavailable}\n`);
    return ExitCode.internal;
  }
  try {
    if (long !== null) {
      await runLong(device, long, kv, values.json);
      return ExitCode.ok;
    }
    if (values.warm !== undefined) {
      if (values.warm !== 'embedded' && !(values.warm in tableModels)) throw new TypeError(`--warm is embedded, ${Object.keys(tableModels).join(', ')}, not "${values.warm}"`);
      const warm = await measureWarm(values.warm, options.runs, values.threads === undefined ? undefined : device.threads);
      process.stdout.write(values.json ? `${JSON.stringify({ schema: 'lodestone.bench-warm/1', device: device.description, ...warm }, null, 2)}\n` : warmText(device.description, warm));
      return ExitCode.ok;
    }
    if (values.profile) {
      await runProfile(device, options, values.json);
      return ExitCode.ok;
    }
    if (values.agree) {
      await runAgree(device, options.names, formats, options.peer!, values.json);
      return ExitCode.ok;
    }
    const report = await measure(device, options);
    if (values.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    else print(report, options.peer !== undefined);
  } finally {
    await device.close();
  }
  return ExitCode.ok;
}

await runBench(main, usage);
