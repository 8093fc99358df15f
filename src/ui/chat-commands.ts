/** What a line of a conversation says: a question, or a command that begins with "/". */

export interface ChatCommand {
  readonly name: string;
  /** What must follow; null: nothing. */
  readonly argument: string | null;
  readonly help: string;
}

export const chatCommands = [
  { name: 'sources', argument: null, help: 'what was read' },
  { name: 'cite', argument: 'N', help: 'the text around citation N of the last answer' },
  { name: 'context', argument: null, help: 'a map of the context' },
  { name: 'save', argument: 'FILE', help: 'write the conversation, as JSON to *.json, else as Markdown' },
  { name: 'history', argument: null, help: 'the questions so far' },
  { name: 'forget', argument: null, help: 'forget the dialogue, keep the sources' },
  { name: 'help', argument: null, help: 'these commands' },
  { name: 'quit', argument: null, help: 'leave' },
] as const satisfies readonly ChatCommand[];

export type ChatCommandName = (typeof chatCommands)[number]['name'];

export type ChatLine =
  | { readonly type: 'empty' }
  | { readonly type: 'question'; readonly text: string }
  | { readonly type: 'command'; readonly name: ChatCommandName; readonly argument: string }
  /** For people: what is wrong. */
  | { readonly type: 'mistake'; readonly message: string };

/** A question may begin with a slash too, if a space or another slash is in its first word: "/etc/hosts says what?" */
export function parseChatLine(line: string): ChatLine {
  const text = line.trim();
  if (text === '') return { type: 'empty' };
  const match = /^\/([\p{L}]+)(?:\s+(.*))?$/u.exec(text);
  if (match === null) return { type: 'question', text };
  const argument = match[2] ?? '';
  const command = chatCommands.find(({ name }) => name === match[1]);
  if (!command) return { type: 'mistake', message: `no command /${match[1]}; /help lists them` };
  if (command.argument !== null && argument === '') return { type: 'mistake', message: `/${command.name} ${command.argument}: ${command.help}` };
  if (command.argument === null && argument !== '') return { type: 'mistake', message: `/${command.name} takes nothing after it` };
  return { type: 'command', name: command.name, argument };
}
