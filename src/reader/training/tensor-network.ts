/** The network of `../network.ts` in TensorFlow.js: the same numbers, for many decisions at once, and with gradients. */
import type { Tensor, Tensor2D } from '@tensorflow/tfjs';
import { normEpsilon, type NetworkShape, type Parameters } from '../network.js';
import type { Batch } from './batch.js';
import type { TensorFlow, TrainingBackend } from './tensorflow.js';

/** Of a batch: `rowOf` each action that is asked about. Few of them cost much less than all. */
export type Rows = readonly number[];

export interface TensorNetwork {
  /** [rows, outputs] */
  outputs(parameters: Parameters, batch: Batch, rows: Rows): Float32Array;
  /**
   * Gradients of a loss of those outputs, by name. The loss gets the outputs and says what its gradient with respect to them
   * is (the same shape).
   */
  gradients(parameters: Parameters, batch: Batch, rows: Rows, loss: (outputs: Float32Array) => Float32Array): Map<string, Float32Array>;
}

export function createTensorNetwork({ tf, matMul }: TrainingBackend, shape: NetworkShape): TensorNetwork {
  const { width, stateFeatures, actionFeatures } = shape;

  const norm = (x: Tensor2D, gain: Tensor): Tensor2D =>
    tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), normEpsilon))), gain);
  const spread = (rows: Tensor2D, x: Tensor2D, { states, slots }: Batch): Tensor2D =>
    tf.reshape(tf.add(tf.reshape(x, [states, slots, width]), tf.reshape(rows, [states, 1, width])), [states * slots, width]);

  const take = rowTaker(tf, width);

  const forward = (of: (name: string) => Tensor, batch: Batch, rows: Rows): Tensor2D => {
    const { states, slots } = batch;
    const matrix = (name: string): Tensor2D => of(name) as Tensor2D;
    const shared = tf.add(matMul(tf.tensor2d(batch.state, [states, stateFeatures]), matrix('token.state')), of('token.bias')) as Tensor2D;
    const token = spread(shared, matMul(tf.tensor2d(batch.actions, [states * slots, actionFeatures]), matrix('token.action')), batch);
    const weighted = tf.mul(tf.relu(norm(token, of('context.norm'))), tf.tensor2d(batch.meanWeights, [states * slots, 1]));
    const mean = tf.sum(tf.reshape(weighted, [states, slots, width]), 1) as Tensor2D;
    let x = take(spread(matMul(mean, matrix('context.weight')), token, batch), rows);
    for (let i = 0; i < shape.blocks; i++) {
      const hidden = tf.relu(tf.add(matMul(norm(x, of(`block.${i}.norm`)), matrix(`block.${i}.up`)), of(`block.${i}.up_bias`))) as Tensor2D;
      x = tf.add(tf.add(x, matMul(hidden, matrix(`block.${i}.down`))), of(`block.${i}.down_bias`));
    }
    return tf.add(matMul(norm(x, of('head.norm')), matrix('head.weight')), of('head.bias'));
  };

  return {
    outputs: (parameters, batch, rows) => outputsOf(tf, parameters, (of) => forward(of, batch, rows)),
    gradients: (parameters, batch, rows, loss) => gradientsOf(tf, parameters, (of) => forward(of, batch, rows), loss),
  };
}

/** Some rows of a matrix [n, width]. (The WASM backend has no gradient for gather.) */
function rowTaker(tf: TensorFlow, width: number): (x: Tensor2D, rows: Rows) => Tensor2D {
  return (x, rows) => {
    const all = x.shape[0];
    const taken = tf.customGrad((...inputs) => {
      const [from] = inputs as [Tensor2D];
      const scatter = (dy: Tensor): Tensor2D => {
        const values = dy.dataSync();
        const gradient = new Float32Array(all * width);
        for (const [i, row] of rows.entries()) for (let j = 0; j < width; j++) gradient[row * width + j]! += values[i * width + j]!;
        return tf.tensor2d(gradient, [all, width]);
      };
      return { value: tf.gather(from, tf.tensor1d([...rows], 'int32')), gradFunc: scatter };
    });
    return taken(x);
  };
}

function tensorsOf(tf: TensorFlow, parameters: Parameters): Map<string, Tensor> {
  return new Map([...parameters].map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]));
}

/** What a forward pass computes from parameters, which it gets by name. */
export type Forward = (of: (name: string) => Tensor) => Tensor;

export function outputsOf(tf: TensorFlow, parameters: Parameters, forward: Forward): Float32Array {
  let outputs = new Float32Array();
  // Nothing is returned from tidy: it would look at each number for tensors to keep.
  tf.tidy(() => {
    const tensors = tensorsOf(tf, parameters);
    outputs = forward((name) => tensors.get(name)!).dataSync() as Float32Array<ArrayBuffer>;
  });
  return outputs;
}

/**
 * Gradients by parameter of a loss that is computed outside TensorFlow.js, from the outputs.
 * @param loss the outputs -> d loss / d outputs, of the same shape
 */
export function gradientsOf(tf: TensorFlow, parameters: Parameters, forward: Forward, loss: (outputs: Float32Array) => Float32Array): Map<string, Float32Array> {
  const names = [...parameters.keys()];
  const gradients = new Map<string, Float32Array>();
  tf.tidy(() => {
    const tensors = [...tensorsOf(tf, parameters).values()];
    const lossOf = tf.customGrad((...inputs) => {
      const [outputs, save] = inputs as unknown as [Tensor, (tensors: Tensor[]) => void];
      save([tf.tensor(loss(outputs.dataSync() as Float32Array), outputs.shape)]);
      // The value is never read; the gradient is all that leaves.
      return { value: tf.scalar(0), gradFunc: (dy, saved) => tf.mul(dy, (saved as [Tensor])[0]) };
    });
    const given = tf.grads((...each: Tensor[]) => lossOf(forward((name) => each[names.indexOf(name)]!)));
    for (const [i, gradient] of given(tensors).entries()) gradients.set(names[i]!, gradient.dataSync() as Float32Array);
  });
  return gradients;
}
