/** `lodestone chat`: several questions about the same sources. */
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import type { AskEvent } from '../answer/answer.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { parseChatLine } from '../ui/chat-commands.js';
import type { ChatScreen } from '../ui/chat-view.js';
import { clean } from '../ui/format.js';
import { formatAnswer } from '../ui/plain.js';
import { progressLine, type ProgressLine } from '../ui/progress.js';
import { ChatSession } from '../ui/chat-session.js';
import { addAnswerOptions, addSourceOptions, locateModels, readingRequest, type ReadingOptions } from './reading-options.js';
import { canShowScreen, prepareScreen } from './screen.js';

interface ChatOptions extends ReadingOptions {
  readonly json?: boolean;
  readonly plain?: boolean;
  readonly quiet?: boolean;
}

async function run(files: readonly string[], options: ChatOptions, signal: AbortSignal): Promise<void> {
  if (files.includes('-')) throw new LodestoneError(ExitCode.usage, 'chat takes questions from standard input, so documents are named: lodestone chat file...');
  const usage = readingRequest(files, options);
  // Loaded here, so that --help and usage errors are quick.
  const [{ Conversation }, { selectDevice }] = await Promise.all([import('../answer/conversation.js'), import('../device/select.js')]);
  const request = { ...usage, ...(await locateModels(options)) };
  const { device } = await selectDevice(options.device, options.threads === undefined ? {} : { threads: options.threads });
  const onScreen = options.json !== true && options.plain !== true && options.quiet !== true && canShowScreen();
  let screen: ChatScreen | null = null;
  const line = progressLine(process.stderr, !onScreen && options.quiet !== true);
  try {
    if (onScreen) {
      prepareScreen();
      const [{ chatScreen }, { pictureLook }] = await Promise.all([import('../ui/chat-view.js'), import('../ui/picture/terminal.js')]);
      screen = chatScreen(process.stdout, await pictureLook(process.stdin, process.stdout), signal);
    }
    const emit = (event: AskEvent): void => (screen ?? line).show(event);
    const conversation = await Conversation.open(request, device, screen?.signal ?? signal, emit);
    line.clear();
    try {
      const session = new ChatSession(conversation);
      await (screen ? screen.talk(session) : talkInLines(session, options, signal, line));
    } finally {
      await conversation.close();
    }
  } finally {
    line.clear();
    await screen?.close();
    await device.close();
  }
}

/** One question or command a line; what goes wrong with one does not end the conversation, but counts for the exit code. */
async function talkInLines(session: ChatSession, { json }: ChatOptions, signal: AbortSignal, line: ProgressLine): Promise<void> {
  const prompt = process.stdin.isTTY && json !== true;
  const lines = createInterface({ input: process.stdin, terminal: false });
  const end = (): void => lines.close();
  signal.addEventListener('abort', end, { once: true });
  const ready = (): void => {
    if (prompt) process.stderr.write('> ');
  };
  ready();
  for await (const text of lines) {
    const said = parseChatLine(text);
    if (said.type === 'mistake') process.stderr.write(`lodestone: ${said.message}\n`);
    else if (said.type === 'command') {
      const result = await session.command(said.name, said.argument, process.stdout.columns ?? 80);
      if (result === null) break;
      process.stdout.write(json === true ? `${JSON.stringify({ command: said.name, text: result.text })}\n` : `${result.text}\n`);
    } else if (said.type === 'question') {
      try {
        const answer = await session.ask(said.text, signal, (event) => line.show(event));
        line.clear();
        process.stdout.write(json === true ? `${JSON.stringify(answer)}\n` : formatAnswer(answer));
      } catch (error) {
        line.clear();
        if (signal.aborted || !(error instanceof LodestoneError)) throw error;
        process.stderr.write(`lodestone: ${clean(error.message)}\n`);
        process.exitCode = error.exitCode;
      }
    }
    ready();
  }
  lines.close();
  if (signal.aborted) throw signal.reason;
}

export function chatCommand(signal: AbortSignal): Command {
  const command = new Command('chat')
    .description('ask several questions about the same documents, which are read once; questions from a pipe, one a line')
    .argument('<file...>', 'PDF, text, Markdown, sound, video or, for models that see, images');
  addAnswerOptions(addSourceOptions(command))
    .option('--json', 'print each answer as a JSON object in a line (schema lodestone.answer/1)')
    .option('--plain', 'plain text, also on a terminal; for screen readers')
    .option('-q, --quiet', 'no progress and no warnings on stderr')
    .action((files: string[], options: ChatOptions) => run(files, options, signal));
  return command.addHelpText(
    'after',
    `
Commands: /sources  /cite N  /context  /save FILE (.json, else Markdown)  /history  /forget  /help  /quit
A chat model reads its earlier answers, so that questions may refer to them; the embedded model takes each question alone.`,
  );
}
