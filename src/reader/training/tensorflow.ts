/**
 * TensorFlow.js, loaded only where something is trained: @tensorflow/tfjs-node-gpu where it is installed and works, else the
 * WASM backend, else plain JavaScript. None of them is part of an installation.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as tensorFlow from '@tensorflow/tfjs';
import type { Tensor2D } from '@tensorflow/tfjs';
import { ExitCode, LodestoneError } from '../../errors.js';

export type TensorFlow = typeof tensorFlow;

export interface TrainingBackend {
  readonly tf: TensorFlow;
  /** What computes, for people. */
  readonly name: string;
  /** Matrix product whose gradient is as quick as itself. */
  readonly matMul: (a: Tensor2D, b: Tensor2D) => Tensor2D;
}

const install = 'npm install @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0';

/** Errors: LodestoneError(usage) where TensorFlow.js is not installed. */
export async function openTensorFlow(): Promise<TrainingBackend> {
  const native = await openNative();
  if (native !== null) return { tf: native, name: 'TensorFlow.js, tfjs-node-gpu', matMul: (a, b) => native.matMul(a, b) };
  const tf = await import('@tensorflow/tfjs').then(commonJs, (cause: unknown) => {
    throw new LodestoneError(ExitCode.usage, `training needs TensorFlow.js, which is not installed here: run ${install}`, { cause });
  });
  tf.enableProdMode();
  const wasm = await openWasm(tf);
  await tf.setBackend(wasm ? 'wasm' : 'cpu');
  await tf.ready();
  return { tf, name: `TensorFlow.js, ${wasm ? 'WASM' : 'plain JavaScript (slow; @tensorflow/tfjs-backend-wasm is not installed)'}`, matMul: withFastGradient(tf) };
}

/** Modules of TensorFlow.js are CommonJS: which of their names an import sees depends on how they are written. */
function commonJs<T extends object>(module: T): T {
  return 'default' in module ? (module.default as T) : module;
}

/** It loads on few machines (its TensorFlow is of 2022, and Node 23 and later lack what it calls), so it has to prove itself. */
async function openNative(): Promise<TensorFlow | null> {
  try {
    // Not a literal: the package is not there when this is compiled.
    const name = '@tensorflow/tfjs-node-gpu';
    const tf = commonJs((await import(name)) as TensorFlow);
    const product = tf.tidy(() => tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([1, 0, 0, 1], [2, 2])).dataSync());
    return product[3] === 4 ? tf : null;
  } catch {
    return null;
  }
}

async function openWasm(tf: TensorFlow): Promise<boolean> {
  try {
    const wasm = commonJs(await import('@tensorflow/tfjs-backend-wasm'));
    const root = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/package.json'));
    wasm.setWasmPaths(path.join(root, 'wasm-out', path.sep));
    return await tf.setBackend('wasm');
  } catch {
    return false;
  }
}

/**
 * The WASM backend has a quick kernel for untransposed products only, and gradients are made of transposed ones: transposing
 * first makes a training step several times quicker.
 */
function withFastGradient(tf: TensorFlow): (a: Tensor2D, b: Tensor2D) => Tensor2D {
  const product = tf.customGrad((...inputs) => {
    const [a, b, save] = inputs as unknown as [Tensor2D, Tensor2D, (tensors: Tensor2D[]) => void];
    save([a, b]);
    return {
      value: tf.matMul(a, b),
      gradFunc: (dy, saved) => {
        const [left, right] = saved as [Tensor2D, Tensor2D];
        return [tf.matMul(dy, tf.transpose(right)), tf.matMul(tf.transpose(left), dy)];
      },
    };
  });
  return (a, b) => product(a, b) as Tensor2D;
}
