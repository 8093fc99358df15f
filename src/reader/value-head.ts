/**
 * What a network's outputs for one action mean, by loss: their value, the targets of training, and the gradient. A target is
 * a row of `targetSize` numbers that can be mixed linearly, so that returns over several steps are built alike for all:
 * a scalar, a distribution over the atoms (C51), or success and cost.
 */
import { addExpectationGradient, binaryCrossEntropy, crossEntropy, huber, type Numbers, sigmoid, softmax, squaredError, squaredErrorOfExpectation } from './losses.js';
import { clampToSupport, createSupport, type Support } from './support.js';
import { hlGauss, meanOf, projectReturns, twoHot } from './targets.js';

export const lossNames = ['mse', 'mse-softmax', 'huber', 'two-hot', 'c51', 'hl-gauss', 'bce'] as const;
export type LossName = (typeof lossNames)[number];

/** Plain data, as a policy's file holds it. */
export interface HeadOptions {
  readonly loss: LossName;
  /** Of the categorical losses; the others take their scale from it. */
  readonly support: { readonly low: number; readonly high: number; readonly bins: number };
  /** HL-Gauss: standard deviation of a target in bins. */
  readonly sigmaRatio: number;
  /** Least and most that an ending pays: 0 and 1 of `bce`'s success. */
  readonly endings: { readonly least: number; readonly most: number };
}

/** Returns of the budgeted reader lie in [-0.5, 1]: about 3 sigma of room on both sides at a ratio of 0.75. */
export const readerHead: HeadOptions = { loss: 'hl-gauss', support: { low: -0.6, high: 1.1, bins: 51 }, sigmaRatio: 0.75, endings: { least: -0.25, most: 1 } };

export type Target = Float64Array;

export interface ValueHead {
  /** Numbers that the network puts out for an action. */
  readonly outputs: number;
  readonly targetSize: number;
  /** Targets so far, and how many of them lay outside the support and were clamped: more than 0.1 % says that it is too narrow. */
  readonly clamps: { targets: number; clamped: number };
  /** Expected return. */
  value(outputs: Numbers): number;
  /** Adds weight * d value / d outputs. */
  addValueGradient(outputs: Numbers, weight: number, gradient: Numbers): void;
  /** Of an action that ends the episode: its reward, nothing after it. */
  ofEnding(reward: number): Target;
  /** What the network itself says (bootstrapping). */
  ofOutputs(outputs: Numbers): Target;
  /** One step earlier: reward + discount * what follows. */
  earlier(target: Target, reward: number, discount: number): Target;
  /** Returns the loss and adds weight * d loss / d outputs. */
  loss(outputs: Numbers, target: Target, weight: number, gradient: Numbers): number;
}

/** (1 - share) * a + share * b */
export function mixTargets(a: Target, b: Target, share: number): Target {
  return a.map((value, i) => (1 - share) * value + share * b[i]!);
}

/** Beyond this share of the support's extent an error counts linearly. */
const huberShare = 0.05;

export function createHead({ loss, support: bounds, sigmaRatio, endings }: HeadOptions): ValueHead {
  const support = createSupport(bounds.low, bounds.high, bounds.bins);
  switch (loss) {
    case 'mse':
      return scalarHead(support, squaredError);
    case 'huber': {
      const delta = huberShare * (support.high - support.low);
      return scalarHead(support, (prediction, target) => huber(prediction, target, delta));
    }
    case 'mse-softmax':
      return categoricalHead(support, (outputs, target, weight, gradient) => squaredErrorOfExpectation(outputs, support, target, gradient, weight));
    case 'two-hot':
      return categoricalHead(support, (outputs, target, weight, gradient) => crossEntropy(outputs, twoHot(target, support), gradient, weight));
    case 'hl-gauss': {
      const sigma = sigmaRatio * support.width;
      return categoricalHead(support, (outputs, target, weight, gradient) => crossEntropy(outputs, hlGauss(target, support, sigma), gradient, weight));
    }
    case 'c51':
      return distributionalHead(support);
    case 'bce':
      return successAndCostHead(endings.least, endings.most);
  }
}

/** Targets that are one number: the return. */
const scalarTargets = {
  targetSize: 1,
  ofEnding: (reward: number): Target => Float64Array.of(reward),
  earlier: (target: Target, reward: number, discount: number): Target => Float64Array.of(reward + discount * target[0]!),
};

/** Outputs count from the middle of the support, where categorical values start too: no loss begins nearer to the truth. */
function scalarHead({ low, high }: Support, lossOf: typeof squaredError): ValueHead {
  const clamps = { targets: 0, clamped: 0 };
  const middle = (low + high) / 2;
  return {
    ...scalarTargets,
    outputs: 1,
    clamps,
    value: (outputs) => middle + outputs[0]!,
    addValueGradient: (_outputs, weight, gradient) => {
      gradient[0]! += weight;
    },
    ofOutputs: (outputs) => Float64Array.of(middle + outputs[0]!),
    loss: (outputs, target, weight, gradient) => {
      clamps.targets++;
      const result = lossOf(middle + outputs[0]!, target[0]!);
      gradient[0]! += weight * result.gradient;
      return result.loss;
    },
  };
}

const categoricalValue = (support: Support) => ({
  outputs: support.bins,
  value: (outputs: Numbers): number => meanOf(softmax(outputs), support),
  addValueGradient: (outputs: Numbers, weight: number, gradient: Numbers): void => {
    addExpectationGradient(outputs, support, weight, gradient);
  },
});

function categoricalHead(support: Support, lossOf: (outputs: Numbers, target: number, weight: number, gradient: Numbers) => number): ValueHead {
  const clamps = { targets: 0, clamped: 0 };
  const head = categoricalValue(support);
  return {
    ...scalarTargets,
    ...head,
    clamps,
    ofOutputs: (outputs) => Float64Array.of(head.value(outputs)),
    loss: (outputs, target, weight, gradient) => {
      const clamped = clampToSupport(target[0]!, support);
      clamps.targets++;
      if (clamped !== target[0]) clamps.clamped++;
      return lossOf(outputs, clamped, weight, gradient);
    },
  };
}

/** C51: targets are distributions of the return. */
function distributionalHead(support: Support): ValueHead {
  const clamps = { targets: 0, clamped: 0 };
  return {
    ...categoricalValue(support),
    targetSize: support.bins,
    clamps,
    ofEnding: (reward) => twoHot(clampToSupport(reward, support), support),
    ofOutputs: softmax,
    earlier: (target, reward, discount) => {
      clamps.targets++;
      const mean = reward + discount * meanOf(target, support);
      if (mean !== clampToSupport(mean, support)) clamps.clamped++;
      return projectReturns(target, reward, discount, support);
    },
    loss: (outputs, target, weight, gradient) => crossEntropy(outputs, target, gradient, weight),
  };
}

/** The strong simple baseline: the chance of a right answer by binary cross-entropy, what is paid until then by regression. */
function successAndCostHead(least: number, most: number): ValueHead {
  const clamps = { targets: 0, clamped: 0 };
  const range = most - least;
  return {
    outputs: 2,
    targetSize: 2,
    clamps,
    value: (outputs) => least + range * sigmoid(outputs[0]!) + outputs[1]!,
    addValueGradient: (outputs, weight, gradient) => {
      const success = sigmoid(outputs[0]!);
      gradient[0]! += weight * range * success * (1 - success);
      gradient[1]! += weight;
    },
    ofEnding: (reward) => Float64Array.of((reward - least) / range, 0),
    ofOutputs: (outputs) => Float64Array.of(sigmoid(outputs[0]!), outputs[1]!),
    earlier: (target, reward, discount) => Float64Array.of(discount * target[0]!, reward + discount * target[1]!),
    loss: (outputs, target, weight, gradient) => {
      const wanted = Math.min(1, Math.max(0, target[0]!));
      clamps.targets++;
      if (wanted !== target[0]) clamps.clamped++;
      const success = binaryCrossEntropy(outputs[0]!, wanted);
      const cost = squaredError(outputs[1]!, target[1]!);
      gradient[0]! += weight * success.gradient;
      gradient[1]! += weight * cost.gradient;
      return success.loss + cost.loss;
    },
  };
}
