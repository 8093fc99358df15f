/**
 * E1 and E5. Targets that no input explains but by heart, and that grow: y = sin(1e5 f(x)) + b for a random network f and
 * b = 0, 8, 16, 24, 32, one after the other (Farebrother et al. 2024, section 5.3, there on images). A network that keeps
 * its plasticity fits every stage as well as the first.
 */
import { createRandom, randomBelow, seedOf, type Random } from '../../random.js';
import { adamW, zeroMoments } from '../training/adamw.js';
import type { TrainingBackend } from '../training/tensorflow.js';
import { createHead, type HeadOptions } from '../value-head.js';
import type { Experiment } from './experiment.js';
import { createMlp } from './mlp.js';

const inputs = 32;
const width = 64;
const samples = 1024;
const batch = 64;
const stages = [0, 8, 16, 24, 32];
const stepsPerStage = 300;
const low = -40;
const high = 40;

interface Arm {
  readonly head: HeadOptions;
  /** Targets are divided by it. */
  readonly scale: number;
}

function armOf(loss: HeadOptions['loss'], sigmaRatio = 0.75, scale = 1, bins = 101): Arm {
  return { head: { loss, support: { low, high, bins }, sigmaRatio, endings: { least: 0, most: 1 } }, scale };
}

const arms: Readonly<Record<string, Arm>> = {
  MSE: armOf('mse'),
  'MSE, targets / 20': armOf('mse', 0.75, 20),
  'MSE + softmax': armOf('mse-softmax'),
  'two-hot': armOf('two-hot'),
  'HL-Gauss 0.75': armOf('hl-gauss', 0.75),
  'HL-Gauss 2.0': armOf('hl-gauss', 2),
};

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Mean squared errors on the training data at the end of each stage; 0.5 is what the mean alone would give. */
async function fit(backend: TrainingBackend, { head: options, scale }: Arm, learningRate: number, seed: number, offsets: readonly number[]): Promise<number[]> {
  const random = createRandom(seedOf('growing-targets', seed));
  const x = Float32Array.from({ length: samples * inputs }, () => normal(random));
  const f = createMlp(backend, [inputs, 64, 1]);
  const phases = f.outputs(f.initial(random), x);
  const head = createHead(options);
  const mlp = createMlp(backend, [inputs, width, width, width, head.outputs]);
  const parameters = mlp.initial(random);
  const moments = zeroMoments(parameters);
  const errors: number[] = [];
  let step = 0;
  for (const offset of offsets) {
    const targets = Float64Array.from(phases, (phase) => (Math.sin(1e5 * phase) + offset) / scale);
    for (let i = 0; i < stepsPerStage; i++) {
      const rows = Array.from({ length: batch }, () => randomBelow(samples, random));
      const drawn = new Float32Array(batch * inputs);
      for (const [j, row] of rows.entries()) drawn.set(x.subarray(row * inputs, (row + 1) * inputs), j * inputs);
      const gradients = mlp.gradients(parameters, drawn, (outputs) => {
        const gradient = new Float32Array(outputs.length);
        for (const [j, row] of rows.entries()) {
          const at = j * head.outputs;
          head.loss(outputs.subarray(at, at + head.outputs), Float64Array.of(targets[row]!), 1 / batch, gradient.subarray(at, at + head.outputs));
        }
        return gradient;
      });
      adamW(parameters, gradients, moments, ++step, { learningRate, epsilon: 1e-8, weightDecay: 0, clip: Infinity });
    }
    const outputs = mlp.outputs(parameters, x);
    let squares = 0;
    for (let j = 0; j < samples; j++) squares += (scale * (head.value(outputs.subarray(j * head.outputs, (j + 1) * head.outputs)) - targets[j]!)) ** 2;
    errors.push(squares / samples);
  }
  return errors;
}

const setup = `${samples} Gaussian inputs of ${inputs} numbers, MLP of three layers of ${width}, ${stepsPerStage} Adam steps of ${batch} a stage, support from ${low} to ${high}`;

export function growingTargets(backend: TrainingBackend): Experiment {
  return {
    id: 'E1',
    claim: 'Classification losses keep fitting when targets grow; regression loses the ability',
    setup: `${setup}, 101 bins`,
    measure: 'mean squared error on the training data at the end of a stage (0.5: the mean alone)',
    better: 'lower',
    arms: Object.keys(arms),
    conditions: ['growing'],
    columns: stages.map((offset) => `b = ${offset}`),
    learningRates: [1e-3, 3e-3],
    tuned: 'each condition',
    seeds: 5,
    run: (arm, _condition, learningRate, seed) => fit(backend, arms[arm]!, learningRate, seed, stages),
  };
}

/** Standard deviations in units of the targets; 0.6 is 0.75 bins of 101. */
const sigmas = [0.15, 0.3, 0.6, 1.2, 2.4];

export function sigmaGrid(backend: TrainingBackend): Experiment {
  return {
    id: 'E5',
    claim: 'The best standard deviation of HL-Gauss is the same in units of returns, whatever the number of bins',
    setup: `${setup}; the stages b = 0 and 8; the learning rate is that of HL-Gauss 0.75 in E1`,
    measure: 'mean squared error on the training data after the second stage',
    better: 'lower',
    arms: sigmas.map((sigma) => `sigma ${sigma}`),
    conditions: [21, 51, 101, 201].map((bins) => `${bins} bins`),
    columns: ['b = 8'],
    learningRates: [3e-3],
    tuned: 'each condition',
    seeds: 5,
    run: async (arm, condition, learningRate, seed) => {
      const bins = Number.parseInt(condition, 10);
      const ratio = Number(arm.slice('sigma '.length)) / ((high - low) / (bins - 1));
      return (await fit(backend, armOf('hl-gauss', ratio, 1, bins), learningRate, seed, stages.slice(0, 2))).slice(-1);
    },
  };
}
