/** The entry: environment, signals, the verbs (loaded when they are called), and one place where errors end. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { ExitCode, LodestoneError } from '../errors.js';
import { packageRoot } from '../paths.js';
import { clean } from '../ui/format.js';
import { exitCodes } from './exit-codes.js';
import { installSignalHandlers } from './signals.js';

const version = (JSON.parse(readFileSync(path.join(packageRoot, 'package.json'), 'utf8')) as { version: string }).version;

function fail(error: unknown): void {
  if (error instanceof LodestoneError) {
    process.stderr.write(`lodestone: ${clean(error.message)}\n`);
    process.exitCode = error.exitCode;
    return;
  }
  if (error instanceof CommanderError) {
    // Commander has printed its message (or the help) already.
    process.exitCode = error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
    return;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`lodestone: internal error, please report it\n${text}\n`);
  process.exitCode = ExitCode.internal;
}

const abort = installSignalHandlers();

const program = new Command('lodestone')
  .description('Ask questions of long documents on your own machine, answered with checked citations.')
  .version(version, '-V, --version')
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /u, 'lodestone: ')) })
  .showHelpAfterError('(lodestone --help shows how to use it)')
  .enablePositionalOptions();

/** In the order of --help. */
const verbs: Readonly<Record<string, () => Promise<Command>>> = {
  ask: async () => (await import('./ask.js')).askCommand(abort.signal),
  chat: async () => (await import('./chat.js')).chatCommand(abort.signal),
  models: async () => (await import('./models.js')).modelsCommand(program, abort.signal),
  plan: async () => (await import('./plan.js')).planCommand(),
  devices: async () => (await import('./devices.js')).devicesCommand(),
  needle: async () => (await import('./needle.js')).needleCommand(abort.signal),
  perplexity: async () => (await import('./perplexity.js')).perplexityCommand(abort.signal),
  reader: async () => (await import('./reader.js')).readerCommand(program, abort.signal),
  session: async () => (await import('./session.js')).sessionCommand(program),
  transcribe: async () => (await import('./transcribe.js')).transcribeCommand(abort.signal),
  doctor: async () => (await import('./doctor.js')).doctorCommand(),
  completion: async () => (await import('./completion.js')).completionCommand(program),
  man: async () => (await import('./completion.js')).manCommand(program),
};
/** They tell of all the others. */
const needsAll = new Set(['completion', 'man']);

/** The verb that is called, or all of them: loading every verb's code takes longer than a short answer. */
async function addVerbs(called: string | undefined): Promise<void> {
  const alone = called !== undefined && Object.hasOwn(verbs, called) && !needsAll.has(called);
  for (const [name, make] of Object.entries(verbs)) {
    if (!alone || name === called) program.addCommand((await make()).copyInheritedSettings(program));
  }
}

program.addHelpText('after', `\nExit codes:\n${exitCodes.map(([code, meaning]) => `${String(code).padStart(5)}  ${meaning}`).join('\n')}`);

try {
  await addVerbs(process.argv[2]);
  await program.parseAsync();
} catch (error) {
  fail(error);
}
