/** AdamW (Loshchilov and Hutter, 2019) with gradients clipped to a global norm; PyTorch's order of things. */
import type { Parameters } from '../network.js';

export interface AdamWOptions {
  readonly learningRate: number;
  readonly epsilon: number;
  /** Of matrices alone; gains and biases do not decay. */
  readonly weightDecay: number;
  /** Largest norm of all gradients together. */
  readonly clip: number;
}

/** Running means of gradients and of their squares, by parameter. */
export interface Moments {
  readonly first: Map<string, Float32Array>;
  readonly second: Map<string, Float32Array>;
}

const [beta1, beta2] = [0.9, 0.999];

export function zeroMoments(parameters: Parameters): Moments {
  const zeros = (): Map<string, Float32Array> => new Map([...parameters].map(([name, { data }]) => [name, new Float32Array(data.length)]));
  return { first: zeros(), second: zeros() };
}

/** Changes `parameters` and `moments` in place. @param step from 1 */
export function adamW(parameters: Parameters, gradients: ReadonlyMap<string, Float32Array>, moments: Moments, step: number, options: AdamWOptions): void {
  let squares = 0;
  for (const gradient of gradients.values()) for (const x of gradient) squares += x * x;
  const scale = Math.min(1, options.clip / (Math.sqrt(squares) + 1e-6));
  const rate = options.learningRate / (1 - beta1 ** step);
  const root = Math.sqrt(1 - beta2 ** step);
  for (const [name, { shape, data }] of parameters) {
    const gradient = gradients.get(name)!;
    const [first, second] = [moments.first.get(name)!, moments.second.get(name)!];
    const keep = 1 - (shape.length === 2 ? options.learningRate * options.weightDecay : 0);
    for (let i = 0; i < data.length; i++) {
      const g = scale * gradient[i]!;
      first[i] = beta1 * first[i]! + (1 - beta1) * g;
      second[i] = beta2 * second[i]! + (1 - beta2) * g * g;
      data[i] = keep * data[i]! - (rate * first[i]!) / (Math.sqrt(second[i]!) / root + options.epsilon);
    }
  }
}

/** `target` follows `parameters`: an exponential moving average. In place. @param rate share of the new */
export function follow(target: Parameters, parameters: Parameters, rate: number): void {
  for (const [name, { data }] of target) {
    const source = parameters.get(name)!.data;
    for (let i = 0; i < data.length; i++) data[i]! += rate * (source[i]! - data[i]!);
  }
}
