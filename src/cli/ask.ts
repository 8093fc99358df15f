/** `lodestone ask`: options, output forms and exit codes; the work is in answer/ask.ts. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Answer, AskEvent } from '../answer/answer.js';
import type { AskRequest } from '../answer/ask.js';
import { defaultLooks } from '../answer/second-look.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { embeddedModelDir } from '../paths.js';
import { parsePageRanges } from '../ingest/pages.js';
import type { Tiles } from '../encode/image.js';
import { between, integer } from './numbers.js';
import { resolveModel } from '../models/resolve.js';
import type { KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { deviceChoices, selectDevice, type DeviceChoice } from '../device/select.js';
import { defaultChunk, defaultKv } from '../runtime/kv.js';
import { formatAnswer, formatPlan } from '../ui/plain.js';
import { progressLine, type ProgressLine } from '../ui/progress.js';
import type { AskScreen } from '../ui/ask-view.js';

interface AskOptions {
  readonly model: string;
  readonly mmproj?: string;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  readonly kv: KvFormat;
  readonly pages?: string;
  readonly password?: string;
  readonly pdfTimeout?: number;
  readonly tiles: Tiles;
  readonly json?: boolean;
  readonly jsonl?: boolean;
  readonly dryRun?: boolean;
  readonly strict?: boolean;
  readonly requireCitations?: boolean;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  readonly chunk: number;
  readonly looks: number;
  readonly quiet?: boolean;
  readonly plain?: boolean;
}

function tiles(text: string): Tiles {
  if (text === 'auto') return text;
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0 || value > 64) throw new InvalidArgumentError('auto, or a whole number from 0 to 64, is needed');
  return value;
}

function inputs(files: readonly string[]): string[] {
  if (files.length > 0) return [...files];
  if (process.stdin.isTTY) throw new LodestoneError(ExitCode.usage, 'no input: name one or more files after the question, or pipe a document in');
  return ['-'];
}

function toRequest(question: string, files: readonly string[], options: AskOptions): Omit<AskRequest, 'modelDir' | 'modelId'> {
  if (question.trim() === '') throw new LodestoneError(ExitCode.usage, 'the question is empty: lodestone ask "question" file...');
  return {
    question,
    paths: inputs(files),
    ...(options.pages === undefined ? {} : { pages: parsePageRanges(options.pages) }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.pdfTimeout === undefined ? {} : { pdfTimeoutMs: options.pdfTimeout * 1e3 }),
    tiles: options.tiles,
    ...(options.mmproj === undefined ? {} : { mmproj: options.mmproj }),
    quantize: options.quantize,
    sampling: { temperature: options.temperature, topK: options.topK, topP: options.topP, minP: options.minP, seed: options.seed },
    maxTokens: options.maxTokens,
    chunk: options.chunk,
    kv: { ...defaultKv, global: options.kv },
    looks: options.looks,
    hashWeights: options.json === true || options.jsonl === true,
  };
}

/** Exit code of an answer that was given without an error. */
export function answerExitCode(answer: Answer, options: { strict?: boolean; requireCitations?: boolean }): ExitCode {
  if (!answer.found) return options.strict === true || options.requireCitations === true ? ExitCode.notFound : ExitCode.ok;
  const verified = answer.citations.some((citation) => citation.verified);
  return options.requireCitations === true && !verified ? ExitCode.citationUnverified : ExitCode.ok;
}

/** The Ink view is for two terminals and nobody else; it is loaded only then, since it costs half a second. */
async function openScreen(options: AskOptions): Promise<AskScreen | null> {
  const scripted = options.json === true || options.jsonl === true || options.plain === true || options.quiet === true || options.dryRun === true;
  const terminal = process.stdin.isTTY && process.stdout.isTTY && !process.env['CI'] && process.env['TERM'] !== 'dumb';
  if (scripted || !terminal) return null;
  // React looks at it when it is loaded; its development build is slow and keeps a record of every frame.
  process.env['NODE_ENV'] ??= 'production';
  // chalk, under Ink, looks at FORCE_COLOR alone, and only when it is first loaded.
  if (process.env['NO_COLOR'] && process.env['FORCE_COLOR'] === undefined) process.env['FORCE_COLOR'] = '0';
  const { askScreen } = await import('../ui/ask-view.js');
  return askScreen(process.stdout);
}

async function run(question: string, files: string[], options: AskOptions, signal: AbortSignal): Promise<void> {
  const usage = toRequest(question, files, options);
  // Loaded here, so that --help and usage errors are quick.
  const { ask, planAsk } = await import('../answer/ask.js');
  const place = await resolveModel(options.model);
  const request: AskRequest = { ...usage, modelDir: place.path, ...(place.id === undefined ? {} : { modelId: place.id }) };
  const { device, why } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  let screen: AskScreen | null = null;
  let progress: ProgressLine | undefined;
  try {
    screen = await openScreen(options);
    const view = screen;
    const line = progressLine(process.stderr, view === null && options.quiet !== true && options.jsonl !== true);
    progress = line;
    const emit = (event: AskEvent): void => {
      if (options.jsonl === true) process.stdout.write(`${JSON.stringify(event)}\n`);
      else (view ?? line).show(event);
    };
    if (device.name === 'reference' && options.device === 'auto') emit({ type: 'warning', message: why });
    if (options.dryRun === true) {
      const plan = await planAsk(request, device, signal, emit);
      line.clear();
      if (options.json === true) process.stdout.write(`${JSON.stringify(plan)}\n`);
      else if (options.jsonl !== true) process.stdout.write(formatPlan(plan));
      if (!plan.fits) process.exitCode = ExitCode.contextExceeded;
      return;
    }
    const answer = await ask(request, device, signal, emit);
    line.clear();
    if (options.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else if (options.jsonl !== true && view === null) process.stdout.write(formatAnswer(answer));
    process.exitCode = answerExitCode(answer, options);
  } finally {
    progress?.clear();
    await screen?.close();
    await device.close();
  }
}

/** What every verb's `-m`, and every MODEL, takes. */
export const modelHelp = 'folder of a Gemma 3 (safetensors), GGUF file, hf:org/repo[:quant], ollama:name[:tag], lmstudio:publisher/model, or a short name (see lodestone models ls)';

export function askCommand(signal: AbortSignal): Command {
  return new Command('ask')
    .description('answer a question about documents, with the page or lines it stands on')
    .argument('<question>', 'what you want to know')
    .argument('[file...]', 'PDF, text, Markdown or, for models that see, images; "-" or a pipe is standard input')
    .option('-m, --model <model>', modelHelp, process.env['LODESTONE_MODEL'] || embeddedModelDir)
    .option('--mmproj <path>', 'vision part of a GGUF file, so that it can see images')
    .addOption(new Option('--device <name>', 'where to compute').choices(deviceChoices).default('auto'))
    .option('--threads <n>', 'threads of the cpu device', integer(1))
    .addOption(new Option('--quantize <format>', 'store the weight matrices smaller').choices(['none', 'q8_0', 'q4_0']).default('none'))
    .addOption(new Option('--kv <format>', 'store the keys and values of global layers so').choices(kvFormats).default(defaultKv.global))
    .option('--pages <list>', 'read only these PDF pages, e.g. 1,4-9 or 12-')
    .option('--password <text>', 'of an encrypted PDF')
    .option('--pdf-timeout <seconds>', 'give a PDF up after this long (120 and more for long ones)', between(0.1, 86_400))
    .option('--tiles <n>', 'show wide and tall images in so many crops too; auto decides by their shape, 0 is none', tiles, 'auto')
    .option('--json', 'print one JSON object (schema lodestone.answer/1)')
    .option('--jsonl', 'print events as JSON lines while it runs; the last one is the answer')
    .option('--dry-run', 'print what it would take (tokens, memory, device) and stop')
    .option('--strict', 'exit with 8 if the answer is not in the sources')
    .option('--require-citations', 'exit with 9 if no citation could be verified, and with 8 if there is no answer to cite')
    .option('--max-tokens <n>', 'longest answer', integer(1), 128)
    .option('--temperature <t>', '0 is greedy', between(0, 100), 0)
    .option('--top-k <n>', '0 is off', integer(0), 0)
    .option('--top-p <p>', '1 is off', between(0, 1), 1)
    .option('--min-p <p>', '0 is off', between(0, 1), 0)
    .option('--seed <n>', 'of sampling', integer(0), 0)
    .option('--looks <n>', 'passages of each length that an extractive model reads again; 0 is none', integer(0), defaultLooks)
    .option('--chunk <n>', 'positions read at a time', integer(1), defaultChunk)
    .option('--plain', 'plain text, also on a terminal')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action((question: string, files: string[], options: AskOptions) => run(question, files, options, signal));
}
