/** The manual page in roff's man macros, from the command tree. */
import { commandPaths, type ArgumentNode, type CommandNode, type OptionNode } from './command-tree.js';

export function manualPage(program: CommandNode, version: string, exitCodes: readonly (readonly [number, string])[]): string {
  const name = program.name;
  const verbs = commandPaths(program).filter(({ path, node }) => path.length > 1 && node.commands.length === 0);
  return [
    `.TH ${name.toUpperCase()} 1 "" "${name} ${text(version)}"`,
    '.SH NAME',
    `${name} \\- ${text(program.description)}`,
    '.SH SYNOPSIS',
    ...verbs.flatMap(({ path, node }) => [`.B ${text(path.join(' '))}`, text(synopsis(node)), '.br']),
    ...verbs.flatMap(({ path, node }) => section(path, node)),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, text(meaning)]),
    '',
  ].join('\n');
}

function section(path: readonly string[], node: CommandNode): string[] {
  return [
    `.SH ${text(path.slice(1).join(' ').toUpperCase())}`,
    text(node.description),
    ...node.arguments.flatMap((argument) => ['.TP', `.I ${text(argument.name)}`, text(argument.description)]),
    ...node.options.flatMap((option) => ['.TP', optionHead(option), text(optionText(option))]),
  ];
}

function synopsis({ arguments: given }: CommandNode): string {
  const shown = ({ name, required, variadic }: ArgumentNode): string => (required ? `${name}${variadic ? '...' : ''}` : `[${name}${variadic ? '...' : ''}]`);
  return ['[options]', ...given.map(shown)].join(' ');
}

function optionHead({ flags, value }: OptionNode): string {
  return `.BR ${flags.map((flag) => text(flag)).join(' ", " ')}${value === null ? '' : ` " \\fI${text(value)}\\fR"`}`;
}

function optionText({ description, choices, standard }: OptionNode): string {
  const notes = [choices.length === 0 ? '' : `one of ${choices.join(', ')}`, standard === null ? '' : `default: ${standard}`].filter((note) => note !== '');
  return `${description}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`;
}

/** What roff would take for its own: backslashes, hyphens (which it may break or turn into dashes), and a full stop or quote in front. */
function text(value: string): string {
  const escaped = value.replaceAll('\\', String.raw`\e`).replaceAll('-', String.raw`\-`).replaceAll('"', String.raw`\(dq`).replaceAll(/\s*\n\s*/gu, ' ');
  return /^[.']/u.test(escaped) ? `\\&${escaped}` : escaped;
}
