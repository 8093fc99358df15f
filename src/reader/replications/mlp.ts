/** A plain network of dense layers and ReLU, without norms, as the paper's claims about plasticity are about such. */
import type { Tensor2D } from '@tensorflow/tfjs';
import type { Random } from '../../random.js';
import type { Parameter, Parameters } from '../network.js';
import { type Forward, gradientsOf, outputsOf } from '../training/tensor-network.js';
import type { TrainingBackend } from '../training/tensorflow.js';

export interface Mlp {
  initial(random: Random): Parameters;
  /** @param x [rows, inputs] -> [rows, outputs] */
  outputs(parameters: Parameters, x: Float32Array): Float32Array;
  gradients(parameters: Parameters, x: Float32Array, loss: (outputs: Float32Array) => Float32Array): Map<string, Float32Array>;
}

/** @param sizes inputs, hidden layers, outputs */
export function createMlp({ tf, matMul }: TrainingBackend, sizes: readonly number[]): Mlp {
  const layers = sizes.length - 1;
  const forward =
    (x: Float32Array): Forward =>
    (of) => {
      let rows = tf.tensor2d(x, [x.length / sizes[0]!, sizes[0]!]);
      for (let i = 0; i < layers; i++) {
        const sums = tf.add(matMul(rows, of(`weight.${i}`) as Tensor2D), of(`bias.${i}`)) as Tensor2D;
        rows = i < layers - 1 ? tf.relu(sums) : sums;
      }
      return rows;
    };
  return {
    initial(random) {
      const parameters = new Map<string, Parameter>();
      for (let i = 0; i < layers; i++) {
        const [inputs, outputs] = [sizes[i]!, sizes[i + 1]!];
        // He's variance 2 / inputs; the last layer starts small.
        const bound = i < layers - 1 ? Math.sqrt(6 / inputs) : 0.01;
        parameters.set(`weight.${i}`, { shape: [inputs, outputs], data: Float32Array.from({ length: inputs * outputs }, () => bound * (2 * random() - 1)) });
        parameters.set(`bias.${i}`, { shape: [outputs], data: new Float32Array(outputs) });
      }
      return parameters;
    },
    outputs: (parameters, x) => outputsOf(tf, parameters, forward(x)),
    gradients: (parameters, x, loss) => gradientsOf(tf, parameters, forward(x), loss),
  };
}
