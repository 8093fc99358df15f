/** `lodestone completion` and `lodestone man`: what the program says of itself, for shells and for man. */
import { Argument, Command } from 'commander';
import { commandTree } from './command-tree.js';
import { bashCompletion } from './completion/bash.js';
import { fishCompletion } from './completion/fish.js';
import { zshCompletion } from './completion/zsh.js';
import { exitCodes } from './exit-codes.js';
import { manualPage } from './manual-page.js';

const shells = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion };

export function completionCommand(program: Command): Command {
  return new Command('completion')
    .description('print the completion of commands and options for a shell')
    .addArgument(new Argument('<shell>', 'which one').choices(Object.keys(shells)))
    .action((shell: keyof typeof shells) => {
      process.stdout.write(shells[shell](commandTree(program)));
    })
    .addHelpText(
      'after',
      `
bash  lodestone completion bash > ~/.local/share/bash-completion/completions/lodestone
zsh   lodestone completion zsh > a folder of $fpath, as _lodestone
fish  lodestone completion fish > ~/.config/fish/completions/lodestone.fish`,
    );
}

export function manCommand(program: Command): Command {
  return new Command('man').description('print the manual page: lodestone man | man -l -').action(() => {
    process.stdout.write(manualPage(commandTree(program), program.version() ?? '', exitCodes));
  });
}
