/** The entry: environment, signals, the verbs (loaded when they are called), and one place where errors end. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Command, CommanderError } from 'commander';
import { ExitCode, LodestoneError } from '../errors.js';
import { packageRoot } from '../paths.js';
import { clean } from '../ui/format.js';
import { askCommand } from './ask.js';
import { chatCommand } from './chat.js';
import { completionCommand, exitCodes, manCommand } from './completion.js';
import { devicesCommand } from './devices.js';
import { doctorCommand } from './doctor.js';
import { modelsCommand } from './models.js';
import { perplexityCommand } from './perplexity.js';
import { planCommand } from './plan.js';
import { needleCommand } from './needle.js';
import { readerCommand } from './reader.js';
import { sessionCommand } from './session.js';
import { installSignalHandlers } from './signals.js';
import { transcribeCommand } from './transcribe.js';

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
program.addCommand(askCommand(abort.signal).copyInheritedSettings(program));
program.addCommand(chatCommand(abort.signal).copyInheritedSettings(program));
program.addCommand(modelsCommand(program, abort.signal));
program.addCommand(planCommand().copyInheritedSettings(program));
program.addCommand(devicesCommand().copyInheritedSettings(program));
program.addCommand(needleCommand(abort.signal).copyInheritedSettings(program));
program.addCommand(perplexityCommand(abort.signal).copyInheritedSettings(program));
program.addCommand(readerCommand(program, abort.signal));
program.addCommand(sessionCommand(program));
program.addCommand(transcribeCommand(abort.signal).copyInheritedSettings(program));
program.addCommand(doctorCommand().copyInheritedSettings(program));
program.addCommand(completionCommand(program).copyInheritedSettings(program));
program.addCommand(manCommand(program).copyInheritedSettings(program));
program.addHelpText('after', `\nExit codes:\n${exitCodes.map(([code, meaning]) => `${String(code).padStart(5)}  ${meaning}`).join('\n')}`);

try {
  await program.parseAsync();
} catch (error) {
  fail(error);
}
