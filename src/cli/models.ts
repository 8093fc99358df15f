/** `lodestone models`: what is on this machine, what it is, and how to get, convert and remove it. */
import { Command } from 'commander';
import { clean } from '../ui/format.js';

interface JsonOption {
  readonly json?: boolean;
}

async function list({ json }: JsonOption): Promise<void> {
  const [{ listModels }, { formatModels }] = await Promise.all([import('../models/list.js'), import('../ui/models.js')]);
  const { models, unreadable } = await listModels();
  if (json === true) {
    process.stdout.write(`${JSON.stringify({ schema: 'lodestone.models/1', models, unreadable })}\n`);
    return;
  }
  for (const line of unreadable) process.stderr.write(`lodestone: ${clean(line)}\n`);
  process.stdout.write(formatModels(models));
}

/** @param program its settings (how errors are shown) are passed on */
export function modelsCommand(program: Command): Command {
  const models = new Command('models').description('the Gemma 3 models on this machine: list, inspect').copyInheritedSettings(program);
  const verb = (name: string): Command => models.command(name).copyInheritedSettings(program);
  verb('ls')
    .description('list every Gemma 3 in the stores of Hugging Face, llama.cpp, LM Studio, Ollama and our own; they are only read')
    .option('--json', 'print one JSON object (schema lodestone.models/1)')
    .action(list);
  return models;
}
