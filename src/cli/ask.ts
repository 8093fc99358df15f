/** `lodestone ask`: output forms and exit codes; the work is in answer/ask.ts. */
import { Command } from 'commander';
import type { Answer, AskEvent, Budget } from '../answer/answer.js';
import type { AskRequest } from '../answer/ask.js';
import type { EndpointOptions } from '../endpoint/client.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { AskScreen } from '../ui/ask-view.js';
import { formatAnswer, formatPlan } from '../ui/plain.js';
import { progressLine, type ProgressLine } from '../ui/progress.js';
import { budget } from './budget.js';
import { addEndpointOptions, endpointOptions, type EndpointFlags } from './endpoint-options.js';
import { addAnswerOptions, addSourceOptions, locateModels, readingRequest, type ReadingOptions } from './reading-options.js';
import { canShowScreen, prepareScreen } from './screen.js';

interface AskOptions extends ReadingOptions, EndpointFlags {
  readonly json?: boolean;
  readonly jsonl?: boolean;
  readonly dryRun?: boolean;
  readonly budget?: Budget;
  readonly strict?: boolean;
  readonly requireCitations?: boolean;
  readonly profile?: boolean;
  readonly quiet?: boolean;
  readonly plain?: boolean;
}

function inputs(files: readonly string[]): string[] {
  if (files.length > 0) return [...files];
  if (process.stdin.isTTY) throw new LodestoneError(ExitCode.usage, 'no input: name one or more files after the question, or pipe a document in');
  return ['-'];
}

function toRequest(question: string, files: readonly string[], options: AskOptions): Omit<AskRequest, 'modelDir' | 'modelId'> {
  if (question.trim() === '') throw new LodestoneError(ExitCode.usage, 'the question is empty: lodestone ask "question" file...');
  return { ...readingRequest(inputs(files), options), question, hashWeights: options.json === true || options.jsonl === true };
}

/** Exit code of an answer that was given without an error. */
export function answerExitCode(answer: Pick<Answer, 'found' | 'citations'>, options: { strict?: boolean; requireCitations?: boolean }): ExitCode {
  if (!answer.found) return options.strict === true || options.requireCitations === true ? ExitCode.notFound : ExitCode.ok;
  const verified = answer.citations.some((citation) => citation.verified);
  return options.requireCitations === true && !verified ? ExitCode.citationUnverified : ExitCode.ok;
}

async function openScreen(options: AskOptions): Promise<AskScreen | null> {
  const scripted = options.json === true || options.jsonl === true || options.plain === true || options.quiet === true || options.dryRun === true;
  if (scripted || !canShowScreen()) return null;
  prepareScreen();
  const { askScreen } = await import('../ui/ask-view.js');
  return askScreen(process.stdout);
}

async function run(question: string, files: string[], options: AskOptions, signal: AbortSignal): Promise<void> {
  const usage = toRequest(question, files, options);
  const server = endpointOptions(options, signal);
  if (server !== null) return runEndpoint(usage, server, options);
  // Loaded here, so that --help and usage errors are quick, and only what is asked for: a warm answer takes no longer than its code.
  const [{ ask, planAsk }, within, { selectDevice }, profiling] = await Promise.all([
    import('../answer/ask.js'),
    options.budget && import('../reader/ask.js'),
    import('../device/select.js'),
    options.profile === true ? import('../device/profile.js') : undefined,
  ]);
  const request: AskRequest = { ...usage, ...(await locateModels(options)) };
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
      const plan = options.budget && within ? await within.planWithin(request, options.budget, device, signal, emit) : await planAsk(request, device, signal, emit);
      line.clear();
      if (options.json === true) process.stdout.write(`${JSON.stringify(plan)}\n`);
      else if (options.jsonl !== true) process.stdout.write(formatPlan(plan));
      if (!plan.fits) process.exitCode = ExitCode.contextExceeded;
      return;
    }
    const profile = await profiling?.startProfile(device);
    const timed = profile?.device ?? device;
    const answer = options.budget && within ? await within.askWithin(request, options.budget, timed, signal, emit) : await ask(request, timed, signal, emit);
    line.clear();
    const report = profile?.report();
    if (options.json === true) process.stdout.write(`${JSON.stringify(report ? { ...answer, profile: report } : answer)}\n`);
    else if (options.jsonl !== true && view === null) process.stdout.write(formatAnswer(answer));
    if (profiling && report && options.json !== true) {
      await screen?.close();
      screen = null;
      process.stderr.write(profiling.formatProfile(report));
    }
    process.exitCode = answerExitCode(answer, options);
  } finally {
    progress?.clear();
    await screen?.close();
    await device.close();
  }
}

/** Without the terminal's view: a server tells nothing of its progress. */
async function runEndpoint(request: Omit<AskRequest, 'modelDir' | 'modelId'>, server: EndpointOptions, options: AskOptions): Promise<void> {
  if (options.dryRun === true) throw new LodestoneError(ExitCode.usage, '--dry-run plans a run on this machine, not on a server');
  if (options.profile === true) throw new LodestoneError(ExitCode.usage, '--profile times the kernels of this machine, not those of a server');
  if (options.budget) throw new LodestoneError(ExitCode.usage, '--budget chooses what a model on this machine reads, not a server');
  const { askEndpoint } = await import('../answer/ask-endpoint.js');
  const line = progressLine(process.stderr, options.quiet !== true && options.jsonl !== true);
  try {
    const answer = await askEndpoint(request, server, (event) => {
      if (options.jsonl === true) process.stdout.write(`${JSON.stringify(event)}\n`);
      else if (event.type !== 'answer') line.show(event);
    });
    line.clear();
    if (options.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else if (options.jsonl !== true) process.stdout.write(formatAnswer(answer));
    process.exitCode = answerExitCode(answer, options);
  } finally {
    line.clear();
  }
}

export function askCommand(signal: AbortSignal): Command {
  const command = new Command('ask')
    .description('answer a question about documents, with the page or lines it stands on')
    .argument('<question>', 'what you want to know')
    .argument('[file...]', 'PDF, text, Markdown, sound, video or, for models that see, images; "-" or a pipe is standard input');
  addSourceOptions(command)
    .option('--budget <amount>', 'read at most so many tokens (8000, 8k, 1M) or so long (20s, 2min), and choose what', budget)
    .option('--json', 'print one JSON object (schema lodestone.answer/1)')
    .option('--jsonl', 'print events as JSON lines while it runs; the last one is the answer')
    .option('--dry-run', 'print what it would take (tokens, memory, device) and stop')
    .option('--strict', 'exit with 8 if the answer is not in the sources')
    .option('--require-citations', 'exit with 9 if no citation could be verified, and with 8 if there is no answer to cite');
  return addEndpointOptions(addAnswerOptions(command))
    .option('--profile', 'say on stderr (with --json in it) which kernels took how long, and how near that is to what the device can do; slower')
    .option('--plain', 'plain text, also on a terminal')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action((question: string, files: string[], options: AskOptions) => run(question, files, options, signal));
}
