/** Completion for zsh, with descriptions. */
import { commandPaths, type ArgumentNode, type CommandNode, type OptionNode } from '../command-tree.js';

/** A function for each command, made of what `_arguments` takes. */
export function zshCompletion(program: CommandNode): string {
  const functions = commandPaths(program).map(({ path, node }) => `${functionName(path)}() {\n${body(path, node)}\n}`);
  return `#compdef ${program.name}
# ${program.name} completion for zsh: put it into a folder of $fpath as _${program.name}, or source it after compinit
${functions.join('\n')}
if [[ $funcstack[1] == _${program.name} ]]; then _${program.name} "$@"; else compdef _${program.name} ${program.name}; fi
`;
}

function functionName(path: readonly string[]): string {
  return `_${path.join('_').replaceAll('-', '_')}`;
}

function body(path: readonly string[], node: CommandNode): string {
  const options = node.options.map(optionSpec);
  if (node.commands.length === 0) return `  _arguments ${[...options, ...node.arguments.map(argumentSpec)].join(' \\\n    ')}`;
  const commands = node.commands.map(({ name, description }) => `${escape(name)}\\:${quotedInside(description)}`).join(' ');
  const cases = node.commands.map(({ name }) => `    ${name}) ${functionName([...path, name])} ;;`);
  return `  local line state
  _arguments -C ${[...options, `'1:command:((${commands}))'`, "'*::argument:->rest'"].join(' \\\n    ')}
  [[ $state == rest ]] || return
  case $line[1] in
${cases.join('\n')}
  esac`;
}

function optionSpec({ flags, value, choices, description }: OptionNode): string {
  const [first, second] = flags;
  const names = second === undefined ? `'${first}` : `'(${flags.join(' ')})'{${flags.join(',')}}'`;
  return `${names}[${escape(description)}]${value === null ? '' : `:${escape(value)}:${values(choices)}`}'`;
}

function argumentSpec({ name, variadic, choices }: ArgumentNode): string {
  // A question is no file, but what follows it is.
  return `'${variadic ? '*' : ''}:${escape(name)}:${/^(?:question|id|shell|prefix)$/u.test(name) && choices.length === 0 ? ' ' : values(choices)}'`;
}

function values(choices: readonly string[]): string {
  return choices.length === 0 ? '_files' : `(${choices.map(escape).join(' ')})`;
}

function escape(text: string): string {
  return text.replaceAll(/[\\[\]:]/gu, String.raw`\$&`).replaceAll("'", String.raw`'\''`);
}

/** In a list in parentheses white space ends a word. */
function quotedInside(text: string): string {
  return `"${escape(text).replaceAll('"', String.raw`\"`)}"`;
}
