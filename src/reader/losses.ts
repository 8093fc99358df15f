/**
 * Losses of one prediction and their gradients with respect to what the network puts out. Those of several outputs add
 * their gradient to `gradient`, times `weight`. Targets are constants.
 */
import { meanOf } from './targets.js';
import type { Support } from './support.js';

export type Numbers = Float32Array | Float64Array;

export interface ScalarLoss {
  readonly loss: number;
  /** d loss / d prediction */
  readonly gradient: number;
}

export function logSumExp(values: ArrayLike<number>): number {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]!);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - most);
  return most + Math.log(sum);
}

export function softmax(logits: ArrayLike<number>): Float64Array {
  let most = -Infinity;
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i]!);
  const probabilities = new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += probabilities[i] = Math.exp(logits[i]! - most);
  for (let i = 0; i < logits.length; i++) probabilities[i]! /= sum;
  return probabilities;
}

export function sigmoid(logit: number): number {
  return logit < 0 ? Math.exp(logit) / (1 + Math.exp(logit)) : 1 / (1 + Math.exp(-logit));
}

/** -sum p log softmax(logits), for a target whose mass is 1. The gradient, softmax(logits) - p, is bounded whatever the returns are. */
export function crossEntropy(logits: Numbers, target: ArrayLike<number>, gradient: Numbers, weight = 1): number {
  const logSum = logSumExp(logits);
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    loss += target[i]! * (logSum - logits[i]!);
    gradient[i]! += weight * (Math.exp(logits[i]! - logSum) - target[i]!);
  }
  return loss;
}

/** Half the squared error, so that its gradient is the error. */
export function squaredError(prediction: number, target: number): ScalarLoss {
  const error = prediction - target;
  return { loss: 0.5 * error * error, gradient: error };
}

/** Quadratic up to an error of `delta`, linear beyond. */
export function huber(prediction: number, target: number, delta: number): ScalarLoss {
  const error = prediction - target;
  if (Math.abs(error) <= delta) return { loss: 0.5 * error * error, gradient: error };
  return { loss: delta * (Math.abs(error) - 0.5 * delta), gradient: delta * Math.sign(error) };
}

/** Cross-entropy of a probability given as its logit; the target lies in [0, 1]. */
export function binaryCrossEntropy(logit: number, target: number): ScalarLoss {
  return { loss: Math.max(logit, 0) - logit * target + Math.log1p(Math.exp(-Math.abs(logit))), gradient: sigmoid(logit) - target };
}

/** Adds weight * d E[softmax(logits)] / d logits to `gradient`; returns the expectation. */
export function addExpectationGradient(logits: Numbers, support: Support, weight: number, gradient: Numbers): number {
  const predicted = softmax(logits);
  const value = meanOf(predicted, support);
  for (let i = 0; i < predicted.length; i++) gradient[i]! += weight * predicted[i]! * (support.atoms[i]! - value);
  return value;
}

/** The squared error of the expectation: the parameters of the categorical losses, trained by regression. */
export function squaredErrorOfExpectation(logits: Numbers, support: Support, target: number, gradient: Numbers, weight = 1): number {
  const error = meanOf(softmax(logits), support) - target;
  addExpectationGradient(logits, support, weight * error, gradient);
  return 0.5 * error * error;
}
