/** `lodestone reader train`, after its options. */
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { shortClock } from '../clock.js';
import { savePolicy } from '../reader/policy.js';
import { offlineEpisode } from '../reader/simulation/behaviours.js';
import { Simulation, trainingOptions } from '../reader/simulation/environment.js';
import { trainingDefaults, type TrainingOptions } from '../reader/training/options.js';
import { openTensorFlow } from '../reader/training/tensorflow.js';
import { train } from '../reader/training/trainer.js';
import { readerHead, type LossName } from '../reader/value-head.js';
import { clean } from '../ui/format.js';
import { liveLine } from '../ui/live-line.js';

export interface TrainOptions {
  readonly out: string;
  readonly loss: LossName;
  readonly sigmaRatio: number;
  readonly targets: TrainingOptions['bootstrap'];
  readonly lambda: number;
  readonly conservative: number;
  readonly width: number;
  readonly blocks: number;
  readonly episodes: number;
  readonly offlineUpdates: number;
  readonly onlineUpdates: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly seed: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Updates between two checkpoints, and two lines of the log. */
const checkpointEvery = 50;
const loggedEvery = 10;

export async function runTrain(options: TrainOptions, signal: AbortSignal): Promise<void> {
  const { loss, sigmaRatio, targets, episodes, lambda, conservative, width, blocks, offlineUpdates, onlineUpdates, batch, learningRate, seed } = options;
  const backend = await openTensorFlow();
  await mkdir(options.out, { recursive: true });
  const log = createWriteStream(path.join(options.out, 'training.jsonl'), { flags: 'a' });
  const line = liveLine(process.stderr, options.quiet !== true);
  const started = performance.now();
  /** The update that this run began with. */
  let first: { readonly done: number; readonly at: number } | null = null;
  const simulation = new Simulation(trainingOptions);
  const training: TrainingOptions = {
    ...trainingDefaults,
    head: { ...readerHead, loss, sigmaRatio },
    bootstrap: targets,
    offlineEpisodes: episodes,
    lambda,
    conservative,
    width,
    blocks,
    offlineUpdates,
    onlineUpdates,
    batch,
    learningRate,
    seed,
  };
  try {
    const { policy, parameters, clampRate } = await train(simulation, training, {
      backend,
      offlineEpisode: (episode) => offlineEpisode(simulation, episode),
      trainedOn: `simulated corpora of ${trainingOptions.leaves.join(' to ')} leaves, ${offlineUpdates} + ${onlineUpdates} updates, seed ${seed}`,
      signal,
      checkpoint: { path: path.join(options.out, 'checkpoint.safetensors'), every: checkpointEvery },
      onProgress: ({ done, total, loss: now }) => {
        if (now === null) {
          line.show(`making episodes ${done} / ${total}`);
          return;
        }
        first ??= { done: done - 1, at: performance.now() };
        const left = ((performance.now() - first.at) / 1000 / (done - first.done)) * (total - done);
        line.show(`training ${done} / ${total}  loss ${now.toFixed(4)}  ${shortClock(left)} left`);
        if (done % loggedEvery === 0) log.write(`${JSON.stringify({ update: done, loss: now })}\n`);
      },
    });
    const file = path.join(options.out, 'policy.safetensors');
    await savePolicy(file, policy.description, parameters);
    line.clear();
    const seconds = Math.round((performance.now() - started) / 1000);
    const result = { schema: 'lodestone.reader-training/1', policy: file, backend: backend.name, updates: offlineUpdates + onlineUpdates, seconds, clamp_rate: clampRate };
    process.stdout.write(options.json === true ? `${JSON.stringify(result)}\n` : clean(`${file}: ${result.updates} updates in ${seconds} s (${backend.name}); ${(100 * clampRate).toFixed(2)} % of targets were clamped\n`));
  } finally {
    line.clear();
    await new Promise((resolve) => {
      log.end(resolve);
    });
  }
}
