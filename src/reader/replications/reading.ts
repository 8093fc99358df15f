/** E2, E3, E4, E7 and E8: the reader's decision problem in miniature. Policies are judged on clean, held-out tasks. */
import { seedOf } from '../../random.js';
import { measureReturns } from '../returns.js';
import { cleanMiniature, createMiniature, type MiniatureOptions } from '../miniature.js';
import { createNetwork, type Parameters } from '../network.js';
import { type Chooser, greedy, randomEpisode } from '../rollout.js';
import { trainingDefaults, type TrainingOptions } from '../training/options.js';
import type { TrainingBackend } from '../training/tensorflow.js';
import { train, type Trained } from '../training/trainer.js';
import { readerHead, type HeadOptions } from '../value-head.js';
import type { Experiment } from './experiment.js';
import { linearProbe } from './linear-probe.js';

const head: HeadOptions = { ...readerHead, endings: { least: 0, most: 1 } };
const heads: Readonly<Record<string, HeadOptions>> = {
  MSE: { ...head, loss: 'mse' },
  'MSE + softmax': { ...head, loss: 'mse-softmax' },
  Huber: { ...head, loss: 'huber' },
  'two-hot': { ...head, loss: 'two-hot' },
  C51: { ...head, loss: 'c51' },
  'HL-Gauss 0.75': head,
  'HL-Gauss 2.0': { ...head, sigmaRatio: 2 },
  'BCE + cost': { ...head, loss: 'bce' },
};

const testTasks = Array.from({ length: 400 }, (_, i) => seedOf('held-out', i));
const probeTasks = Array.from({ length: 200 }, (_, i) => seedOf('probe', i));

/** All data are random episodes, in which every action is tried, so nothing has to be held down (no conservative term). */
const small: Omit<TrainingOptions, 'seed' | 'head'> = { ...trainingDefaults, width: 32, blocks: 1, batch: 12, offlineEpisodes: 600, offlineUpdates: 200, onlineUpdates: 0, conservative: 0, targetRate: 0.03 };
const setup = `48 leaves, questions of one and two steps, 20 % without an answer; network of width ${small.width}, ${small.offlineUpdates} updates of ${small.batch} on ${small.offlineEpisodes} random episodes`;
const learningRates = [2e-3, 6e-3];

function trained(backend: TrainingBackend, arm: string, task: Partial<MiniatureOptions>, options: Partial<TrainingOptions> & { readonly seed: number }): Promise<Trained> {
  const environment = createMiniature({ ...cleanMiniature, ...task });
  return train(environment, { ...small, head: heads[arm]!, ...options }, { backend, offlineEpisode: (seed) => randomEpisode(environment, seed), trainedOn: 'the miniature' });
}

function cleanReturn({ policy }: Trained, task: Partial<MiniatureOptions> = {}): number {
  return measureReturns(createMiniature({ ...cleanMiniature, ...task }), testTasks, () => greedy(policy)).return;
}

/** How well the last layer's inputs explain clean returns linearly: the share of variance, on tasks that the fit has not seen. */
function probe({ policy, parameters }: Trained): number {
  const { network } = policy.description;
  const { width } = network;
  const identity = Float32Array.from({ length: width * width }, (_, i) => (i % (width + 1) === 0 ? 1 : 0));
  const featuresOnly: Parameters = new Map([...parameters, ['head.weight', { shape: [width, width], data: identity }], ['head.bias', { shape: [width], data: new Float32Array(width) }]]);
  const features = createNetwork({ ...network, outputs: width }, featuresOnly);
  const rows = probeTasks.map((seed) =>
    randomEpisode(createMiniature(), seed).map(({ decision, chosen, reward }, t, episode) => ({
      x: features(decision).slice(chosen * width, (chosen + 1) * width),
      y: reward + episode.slice(t + 1).reduce((sum, later) => sum + later.reward, 0),
    })),
  );
  const half = rows.length / 2;
  return linearProbe(rows.slice(0, half).flat(), rows.slice(half).flat());
}

const noises: Readonly<Record<string, Partial<MiniatureOptions>>> = {
  '30 % of grades flipped': { flippedGrades: 0.3 },
  clean: {},
  'noise U(-1, 1)': { rewardNoise: 1 },
};

export function noisyRewards(backend: TrainingBackend): Experiment {
  return {
    id: 'E2',
    claim: 'With noisy rewards HL-Gauss loses least (and, E8, its features explain returns best)',
    setup,
    measure: 'share of the variance of returns that a linear probe of the last features explains (E8), and mean return on clean tasks (E2)',
    better: 'higher',
    arms: Object.keys(heads),
    conditions: Object.keys(noises),
    columns: ['probe', 'return'],
    learningRates,
    tuned: 'first condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => {
      const result = await trained(backend, arm, noises[condition]!, { learningRate, seed });
      return [probe(result), cleanReturn(result)];
    },
  };
}

export function returnTargets(backend: TrainingBackend): Experiment {
  return {
    id: 'E3',
    claim: 'The gain of HL-Gauss shrinks where targets move less: SARSA, Monte Carlo',
    setup: `${setup}, 30 % of grades flipped; targets of one step (lambda 0) where they are bootstrapped`,
    measure: 'mean return on clean tasks',
    better: 'higher',
    arms: ['MSE', 'HL-Gauss 0.75'],
    conditions: ['q-learning', 'sarsa', 'monte-carlo'],
    columns: ['return'],
    learningRates,
    tuned: 'first condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => {
      const bootstrap = condition as TrainingOptions['bootstrap'];
      return [cleanReturn(await trained(backend, arm, { flippedGrades: 0.3 }, { learningRate, seed, bootstrap, lambda: 0 }))];
    },
  };
}

export function widths(backend: TrainingBackend): Experiment {
  return {
    id: 'E4',
    claim: 'HL-Gauss gains from width where MSE does not',
    setup: `${setup}; 30 % of grades flipped`,
    measure: 'mean return on clean tasks',
    better: 'higher',
    arms: ['MSE', 'HL-Gauss 0.75'],
    conditions: [16, 64].map((width) => `width ${width}`),
    columns: ['return'],
    learningRates,
    tuned: 'each condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => {
      const width = Number(condition.slice('width '.length));
      return [cleanReturn(await trained(backend, arm, { flippedGrades: 0.3 }, { learningRate, seed, width }))];
    },
  };
}

/** Reads the best leaf that is offered until `enough`, then answers. */
function readUntil(enough: (confidence: number, reads: number) => boolean): Chooser {
  let reads = 0;
  return ({ state, kinds }) => {
    const next = kinds.indexOf('read');
    if (next < 0 || enough(state[2]!, reads)) return kinds.indexOf('answer');
    reads++;
    return next;
  };
}

const fixedRules: Readonly<Record<string, readonly (() => Chooser)[]>> = {
  'best of top-k, k = 1 to 10': Array.from({ length: 10 }, (_, k) => () => readUntil((_confidence, reads) => reads > k)),
  'best threshold': [0.4, 0.5, 0.6, 0.7, 0.8, 0.9].map((threshold) => () => readUntil((confidence) => confidence >= threshold)),
};

export function stopping(backend: TrainingBackend): Experiment {
  return {
    id: 'E7',
    claim: 'A learned choice of what to read and when to stop beats top-k and thresholds at every price',
    setup: `${setup}. The rules are the best of their kind at each price on other tasks`,
    measure: 'mean return on clean tasks, by the price of reading a leaf',
    better: 'higher',
    arms: ['HL-Gauss 0.75', ...Object.keys(fixedRules)],
    conditions: [0.02, 0.04, 0.08].map((price) => `price ${price}`),
    columns: ['return'],
    learningRates,
    tuned: 'each condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => {
      const readCost = Number(condition.slice('price '.length));
      const rules = fixedRules[arm];
      if (rules === undefined) return [cleanReturn(await trained(backend, arm, { readCost }, { learningRate, seed }), { readCost })];
      const environment = createMiniature({ ...cleanMiniature, readCost });
      const others = Array.from({ length: 500 }, (_, i) => seedOf('choose-rule', seed, i));
      const returns = rules.map((rule) => measureReturns(environment, others, rule).return);
      return [measureReturns(environment, testTasks, rules[returns.indexOf(Math.max(...returns))]!).return];
    },
  };
}
