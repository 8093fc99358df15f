/** The verbs and their options as plain data, from commander: for shell completion and the manual page. */
import type { Command } from 'commander';

export interface OptionNode {
  /** As they are typed: -m, --model. */
  readonly flags: readonly string[];
  /** Name of the value; null: none. */
  readonly value: string | null;
  readonly choices: readonly string[];
  readonly description: string;
  /** As --help shows it; null: none. */
  readonly standard: string | null;
}

export interface ArgumentNode {
  readonly name: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly choices: readonly string[];
  readonly description: string;
}

export interface CommandNode {
  readonly name: string;
  readonly description: string;
  readonly options: readonly OptionNode[];
  readonly arguments: readonly ArgumentNode[];
  readonly commands: readonly CommandNode[];
}

export function commandTree(command: Command): CommandNode {
  const help = command.createHelp();
  return {
    name: command.name(),
    description: command.description(),
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined && flag !== null),
      value: option.required || option.optional ? (/[<[](.*?)(?:\.\.\.)?[>\]]/u.exec(option.flags)?.[1] ?? 'value') : null,
      choices: option.argChoices ?? [],
      description: option.description,
      standard: option.defaultValue === undefined || typeof option.defaultValue === 'boolean' ? null : String(option.defaultValue),
    })),
    arguments: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      required: argument.required,
      variadic: argument.variadic,
      choices: argument.argChoices ?? [],
      description: argument.description,
    })),
    commands: help
      .visibleCommands(command)
      .filter((each) => each.name() !== 'help')
      .map(commandTree),
  };
}

/** Every command below, with the words that lead to it. */
export function commandPaths(node: CommandNode, before: readonly string[] = []): { readonly path: readonly string[]; readonly node: CommandNode }[] {
  const path = [...before, node.name];
  return [{ path, node }, ...node.commands.flatMap((each) => commandPaths(each, path))];
}
