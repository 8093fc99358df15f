/** `lodestone reader`: trains what decides what to read, and measures it; reader-train.ts and reader-eval.ts do the work. */
import { Command, Option } from 'commander';
import { embeddedPolicy } from '../paths.js';
import { bootstraps, trainingDefaults } from '../reader/training/options.js';
import { lossNames } from '../reader/value-head.js';
import type { EvalOptions } from './reader-eval.js';
import type { TrainOptions } from './reader-train.js';
import { between, integer } from './numbers.js';

/** @param program its settings (how errors are shown) are passed on */
export function readerCommand(program: Command, signal: AbortSignal): Command {
  const reader = new Command('reader').description('what decides what to read within a budget: train a policy, or measure one').copyInheritedSettings(program);
  const verb = (name: string): Command => reader.command(name).copyInheritedSettings(program).allowExcessArguments(false);
  verb('train')
    .description('train a policy in simulation; interrupted, the same command goes on where it stopped')
    .requiredOption('--out <folder>', 'for policy.safetensors, its checkpoint and the log of training')
    .addOption(new Option('--loss <name>', 'how values are learned').choices(lossNames).default('hl-gauss'))
    .option('--sigma-ratio <bins>', 'hl-gauss: standard deviation of a target', between(0.1, 10), 0.75)
    .addOption(new Option('--targets <name>', 'what follows an action is valued so').choices(bootstraps).default(trainingDefaults.bootstrap))
    .option('--lambda <share>', 'of the executed actions in the return; 0 looks one step ahead', between(0, 1), trainingDefaults.lambda)
    .option('--conservative <weight>', 'holds readings that were not tried below those that were, offline', between(0, 10), trainingDefaults.conservative)
    .option('--width <n>', 'of the network', integer(1), trainingDefaults.width)
    .option('--blocks <n>', 'of the network', integer(1), trainingDefaults.blocks)
    .option('--episodes <n>', 'made by fixed rules before training', integer(1), trainingDefaults.offlineEpisodes)
    .option('--offline-updates <n>', 'on these episodes alone', integer(0), trainingDefaults.offlineUpdates)
    .option('--online-updates <n>', 'that follow, with episodes of its own', integer(0), trainingDefaults.onlineUpdates)
    .option('--batch <n>', 'episodes of an update', integer(1), trainingDefaults.batch)
    .option('--learning-rate <n>', 'of AdamW', between(0, 1), trainingDefaults.learningRate)
    .option('--seed <n>', 'of all that is drawn', integer(0), 0)
    .option('--json', 'print one JSON object (schema lodestone.reader-training/1)')
    .option('-q, --quiet', 'no progress on stderr')
    .addHelpText('after', `
Training runs on TensorFlow.js, which is not installed with lodestone: tfjs-node-gpu where it works, else WASM:
npm install @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0`)
    .action(async (options: TrainOptions) => (await import('./reader-train.js')).runTrain(options, signal));
  verb('eval')
    .description('right answers by what was read, of a policy and of fixed rules, on simulated corpora that training never sees')
    .option('--policy <file>', 'to measure (default: the one that is installed with lodestone)', embeddedPolicy)
    .addOption(new Option('--on <corpora>', 'test: 20,000 leaves, names and phrasings that training does not have; validation: 2,000 leaves of the kind of training, to choose among policies').choices(['test', 'validation']).default('test'))
    .option('--questions <n>', 'asked, of at most 400; each takes seconds for all rules together', integer(1), 100)
    .option('--json', 'print one JSON object (schema lodestone.reader-eval/2)')
    .option('-q, --quiet', 'no progress on stderr')
    .action(async (options: EvalOptions) => (await import('./reader-eval.js')).runEval(options, signal));
  return reader;
}
