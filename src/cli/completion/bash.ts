/** Completion for bash, which knows words and no descriptions. */
import { commandPaths, type CommandNode } from '../command-tree.js';

/** Where the words of a command line and an option's values come from; what is in no list is completed as a file. */
export function bashCompletion(program: CommandNode): string {
  const paths = commandPaths(program);
  const known = paths.filter(({ path }) => path.length > 1).map(({ path }) => quoted(path.join(' ')));
  const values = paths.flatMap(({ path, node }) =>
    node.options
      .filter(({ value }) => value !== null)
      .map(({ flags, choices }) => `    ${flags.map((flag) => quoted([...path, flag].join(' '))).join('|')}) ${reply(choices)}; return ;;`),
  );
  const words = paths.map(({ path, node }) => {
    const options = node.options.flatMap(({ flags }) => flags);
    const others = [...node.commands.map(({ name }) => name), ...node.arguments.flatMap(({ choices }) => choices)];
    return `    ${quoted(path.join(' '))}) options=${quoted(options.join(' '))}; words=${quoted(others.join(' '))} ;;`;
  });
  return `# ${program.name} completion for bash: source it, or put it into ~/.local/share/bash-completion/completions/${program.name}
_${program.name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path=${program.name} options= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
    ${known.join('|')}) path+=" \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
${values.join('\n')}
  esac
  case "$path" in
${words.join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  fi
}
complete -o default -F _${program.name} ${program.name}
`;
}

/** Without choices nothing is replied, and bash completes a file. */
function reply(choices: readonly string[]): string {
  return choices.length === 0 ? ':' : `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$current"))`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
