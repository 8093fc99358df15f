/** `npm run replicate`: the paper's claims at small scale. Runs are kept in a log, so that a killed command goes on. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Command, Option } from 'commander';
import { packageRoot } from '../../paths.js';
import { openTensorFlow } from '../training/tensorflow.js';
import { type Run, runExperiment } from './experiment.js';
import { growingTargets, sigmaGrid } from './growing-targets.js';
import { miniWordle } from './mini-wordle.js';
import { noisyRewards, returnTargets, stopping, widths } from './reading.js';
import { plot } from './plot.js';
import { resultsTable } from './table.js';

const makers = { E1: growingTargets, E2: noisyRewards, E3: returnTargets, E4: widths, E5: sigmaGrid, E6: miniWordle, E7: stopping };
type Id = keyof typeof makers;

const { id: ids, out } = new Command('replicate')
  .description('The claims of "Stop Regressing" at small scale, and of the reader: runs, tables and plots.')
  .addOption(new Option('--id <id...>', 'which').choices(Object.keys(makers)).default(Object.keys(makers)))
  .option('--out <folder>', 'logs, plots and tables', path.join(packageRoot, 'models', 'reader', 'replications'))
  .allowExcessArguments(false)
  .parse()
  .opts<{ readonly id: readonly Id[]; readonly out: string }>();

mkdirSync(out, { recursive: true });
const backend = await openTensorFlow();
for (const id of ids) {
  const experiment = makers[id](backend);
  const log = path.join(out, `${id}.jsonl`);
  const known: Run[] = existsSync(log)
    ? readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Run)
    : [];
  const runs = await runExperiment(experiment, async (arm, condition, learningRate, seed) => {
    const before = known.find((run) => run.arm === arm && run.condition === condition && run.learningRate === learningRate && run.seed === seed);
    if (before !== undefined) return before;
    const run: Run = { arm, condition, learningRate, seed, figures: await experiment.run(arm, condition, learningRate, seed) };
    appendFileSync(log, `${JSON.stringify(run)}\n`);
    process.stderr.write(`${id} ${condition}, ${arm}, rate ${learningRate}, seed ${seed}: ${run.figures.map((figure) => figure.toFixed(4)).join(' ')}\n`);
    return run;
  });
  writeFileSync(path.join(out, `${id}.svg`), plot(experiment, runs));
  process.stdout.write(`${resultsTable(experiment, runs)}\n`);
}
