/** Completion for fish, with descriptions. */
import { commandPaths, type CommandNode } from '../command-tree.js';

export function fishCompletion(program: CommandNode): string {
  const lines = commandPaths(program).flatMap(({ path, node }) => {
    const condition = `-n ${quoted(here(path, node))}`;
    const options = node.options.map(({ flags, value, choices, description }) => {
      const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`)).join(' ');
      const takes = value === null ? '' : choices.length === 0 ? ' -r' : ` -x -a ${quoted(choices.join(' '))}`;
      return `complete -c ${program.name} ${condition} ${names}${takes} -d ${quoted(description)}`;
    });
    const commands = node.commands.map(({ name, description }) => `complete -c ${program.name} ${condition} -f -a ${name} -d ${quoted(description)}`);
    const choices = node.arguments.flatMap((argument) => argument.choices).map((choice) => `complete -c ${program.name} ${condition} -f -a ${choice}`);
    return [...commands, ...choices, ...options];
  });
  return `# ${program.name} completion for fish: put it into ~/.config/fish/completions/${program.name}.fish\n${lines.join('\n')}\n`;
}

/** True where the words so far lead to this command and to none below it. */
function here(path: readonly string[], node: CommandNode): string {
  const [, ...words] = path;
  const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`);
  const below = node.commands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${node.commands.map(({ name }) => name).join(' ')}`];
  return [...seen, ...below].join('; and ') || 'true';
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', String.raw`\\`).replaceAll("'", String.raw`\'`)}'`;
}
