/** `lodestone models`: what is on this machine, what it is, and how to get, convert and remove it. */
import { createInterface } from 'node:readline/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import type { PullProgress } from '../models/pull/pull.js';
import { clean } from '../ui/format.js';
import { modelHelp } from './reading-options.js';

interface JsonOption {
  readonly json?: boolean;
}

async function list({ json }: JsonOption): Promise<void> {
  const [{ listModels }, { formatModels }, { describeSpeech }] = await Promise.all([import('../models/list.js'), import('../ui/models.js'), import('../speech/choose.js')]);
  const { models, unreadable } = await listModels();
  const hears = await describeSpeech();
  const speech = 'about' in hears ? hears.about : `nothing: ${hears.problem}`;
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ schema: 'lodestone.models/1', models, unreadable, speech })}\n`);
    return;
  }
  for (const line of unreadable) process.stderr.write(`lodestone: ${clean(line)}\n`);
  process.stdout.write(formatModels(models));
  process.stdout.write(clean(`\nspeech is heard by ${speech}\n`));
}

interface InspectOptions extends JsonOption {
  readonly hash?: boolean;
  readonly mmproj?: string;
}

async function inspect(model: string, { hash = false, mmproj, json }: InspectOptions, signal: AbortSignal): Promise<void> {
  const [{ inspectModel }, { inspectSpeech }, { folderFamily }, { resolveModel }, { formatInspection, formatSpeechInspection }] = await Promise.all([
    import('../models/inspect.js'),
    import('../models/inspect-speech.js'),
    import('../models/family.js'),
    import('../models/resolve.js'),
    import('../ui/models.js'),
  ]);
  const place = await resolveModel(model);
  const print = <T>(inspection: T, format: (of: T) => string): void => {
    process.stdout.write(json === true ? `${JSON.stringify(inspection)}\n` : format(inspection));
  };
  if ((await folderFamily(place.path)).family === 'whisper') print(await inspectSpeech(place, { hash, signal }), formatSpeechInspection);
  else print(await inspectModel(mmproj === undefined ? place : { ...place, mmproj }, { hash, signal }), formatInspection);
}

interface PullCommandOptions extends JsonOption {
  readonly textOnly?: boolean;
  readonly connections: number;
  readonly plain?: boolean;
  readonly quiet?: boolean;
}

async function pull(model: string, options: PullCommandOptions, signal: AbortSignal): Promise<void> {
  const [{ pullModel }, { parseRepoName }, { liveLine }, { openJobScreen }, { jobLine, paceFrom, pulled, pulledAll, pulling }] = await Promise.all([
    import('../models/pull/pull.js'),
    import('../models/names.js'),
    import('../ui/live-line.js'),
    import('./screen.js'),
    import('../ui/job-state.js'),
  ]);
  if (!model.startsWith('hf:')) throw new LodestoneError(ExitCode.usage, `${model}: only the hub's models are pulled: lodestone models pull hf:org/repo[@revision][:quant]`);
  const name = parseRepoName('hf', model.slice('hf:'.length));
  const screen = await openJobScreen(options.json !== true && options.plain !== true && options.quiet !== true);
  const line = liveLine(process.stderr, options.quiet !== true && screen === null);
  const pace = paceFrom();
  const onProgress = (progress: PullProgress): void => {
    const now = pulling(progress, pace(progress.done, progress.total, performance.now()));
    if (screen === null) line.show(jobLine(now));
    else screen.update((state) => pulled(state, now));
  };
  try {
    const result = await pullModel(name, { signal, connections: options.connections, textOnly: options.textOnly === true, onProgress });
    line.clear();
    const said = clean(`${result.name}: ${result.unchanged ? 'is there already' : 'pulled'}, ${result.path}`);
    if (screen === null) process.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : `${said}\n`);
    else screen.update((state) => pulledAll(state, said));
  } finally {
    line.clear();
    await screen?.close();
  }
}

interface ConvertCommandOptions extends JsonOption {
  readonly to: 'q8_0' | 'q4_0' | 'bf16' | 'f16';
  readonly quiet?: boolean;
}

async function convert(source: string, destination: string, options: ConvertCommandOptions, signal: AbortSignal): Promise<void> {
  const [{ convertModel }, { resolveModel }, { bytes }, { liveLine }] = await Promise.all([
    import('../models/convert.js'),
    import('../models/resolve.js'),
    import('../ui/format.js'),
    import('../ui/live-line.js'),
  ]);
  const place = await resolveModel(source, undefined, 'gemma3');
  const line = liveLine(process.stderr, options.quiet !== true);
  try {
    const result = await convertModel(place, destination, options.to, { signal, onProgress: (done, total) => line.show(`converting ${Math.floor((100 * done) / total)} %  ${bytes(done)} / ${bytes(total)}`) });
    line.clear();
    if (result.left_out > 0 && options.quiet !== true) process.stderr.write(`lodestone: ${result.left_out} tensors of the vision part were left out\n`);
    process.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : clean(`${result.path}: ${bytes(result.bytes.source)} became ${bytes(result.bytes.result)}\n`));
  } finally {
    line.clear();
  }
}

async function remove(model: string, options: { readonly yes?: boolean }, signal: AbortSignal): Promise<void> {
  const [{ planRemoval, removeModel }, { bytes }] = await Promise.all([import('../models/remove.js'), import('../ui/format.js')]);
  const removal = await planRemoval(model);
  const what = clean(`${removal.name} (${bytes(removal.bytes)}, ${removal.paths[0]!})`);
  if (options.yes !== true) {
    if (!process.stdin.isTTY || !process.stderr.isTTY) throw new LodestoneError(ExitCode.usage, `models rm asks before it removes ${what}, and here is no terminal to ask on: add --yes`);
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      // In line mode the terminal's Ctrl-C comes as a key; the end of input is a no.
      terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
      const asked = terminal.question(`Remove ${what}? [y/N] `, { signal }).catch((error: unknown) => {
        throw signal.aborted ? abortError(signal) : error;
      });
      const answer = await Promise.race([asked, ended]);
      if (!/^y(?:es)?$/i.test(answer.trim())) {
        process.stderr.write('lodestone: nothing was removed\n');
        return;
      }
    } finally {
      terminal.close();
    }
  }
  await removeModel(removal);
  process.stdout.write(`removed ${what}\n`);
}

function connections(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1 || value > 32) throw new InvalidArgumentError('a whole number from 1 to 32 is needed');
  return value;
}

/** @param program its settings (how errors are shown) are passed on */
export function modelsCommand(program: Command, signal: AbortSignal): Command {
  const models = new Command('models').description('the models on this machine (Gemma 3, and Whisper for speech): list, inspect, pull, convert, remove').copyInheritedSettings(program);
  const verb = (name: string): Command => models.command(name).copyInheritedSettings(program);
  verb('ls')
    .description('list every Gemma 3 and Whisper in the stores of Hugging Face, llama.cpp, LM Studio, Ollama and our own; they are only read')
    .option('--json', 'print one JSON object (schema lodestone.models/1)')
    .action(list);
  verb('inspect')
    .description('show what a model is: architecture, formats, memory by length, files')
    .argument('<model>', modelHelp)
    .option('--mmproj <path>', 'vision part of a GGUF file (found by itself in the stores)')
    .option('--hash', 'also the sha256 of each file, which reads all of them')
    .option('--json', 'print one JSON object (schema lodestone.model/1)')
    .action((model: string, options: InspectOptions) => inspect(model, options, signal));
  verb('pull')
    .description("get a model from the Hugging Face hub into our own store; interrupted, the same command goes on where it stopped")
    .argument('<model>', 'hf:org/repo for safetensors (a Gemma 3, or a Whisper such as hf:openai/whisper-base), hf:org/repo:Q4_0 for a GGUF model; @branch, @tag or @commit before the colon')
    .option('--text-only', 'leave the vision part of a GGUF model (mmproj) out')
    .option('--connections <n>', 'ranges of a file that come at the same time', connections, 4)
    .option('--json', 'print one JSON object (schema lodestone.pull/1)')
    .option('--plain', 'plain text, also on a terminal')
    .option('-q, --quiet', 'no progress on stderr')
    .addHelpText('after', `
HF_TOKEN (or the token of a login) opens models whose terms you accepted; HF_ENDPOINT is a mirror to pull from;
LODESTONE_HOME or XDG_DATA_HOME puts the store elsewhere. Every file is checked against the hub's hash.`)
    .action((model: string, options: PullCommandOptions) => pull(model, options, signal));
  verb('convert')
    .description('write a model again, its matrices in another format: as a directory of safetensors, or as a GGUF file')
    .argument('<source>', modelHelp)
    .argument('<destination>', 'directory that is not there yet, or file name that ends in .gguf')
    .addOption(new Option('--to <format>', 'of the matrices').choices(['q8_0', 'q4_0', 'bf16', 'f16']).default('q8_0'))
    .option('--json', 'print one JSON object (schema lodestone.conversion/1)')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action((source: string, destination: string, options: ConvertCommandOptions) => convert(source, destination, options, signal));
  verb('rm')
    .description('remove a model from our own store; those of other programs are theirs')
    .argument('<model>', 'as models ls names it')
    .option('-y, --yes', 'do not ask')
    .action((model: string, options: { readonly yes?: boolean }) => remove(model, options, signal));
  return models;
}
