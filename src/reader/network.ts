/**
 * The network that values actions, as plain loops: what runs where the reader decides. Each action is one token made of its
 * features and the state's; the mean over all actions (DeepSets) tells each of the others, so neither their number nor
 * their order matters. Then residual blocks, and a head that puts out what `value-head.ts` reads. Every loss gets the
 * same network with its norms, or a comparison would measure normalisation.
 *
 *     token   = action W_a + state W_s + b                    [width]
 *     x       = token + mean(relu(norm(token))) W_c
 *     x      += relu(norm(x) W_up + b_up) W_down + b_down     for each block
 *     outputs = norm(x) W_head + b_head
 *
 * norm is RMSNorm with a learned gain. training/tensor-network.ts computes the same in TensorFlow.js.
 */
import type { Random } from '../random.js';
import type { Decision } from './decision.js';

/** Plain data, as a policy's file holds it. */
export interface NetworkShape {
  readonly stateFeatures: number;
  readonly actionFeatures: number;
  readonly width: number;
  readonly blocks: number;
  /** For each action. */
  readonly outputs: number;
}

export interface Parameter {
  readonly shape: readonly number[];
  /** Row-major; of matrices [inputs, outputs]. */
  readonly data: Float32Array;
}

export type Parameters = ReadonlyMap<string, Parameter>;

/** Of a block's hidden layer, in widths. */
const expansion = 2;
export const normEpsilon = 1e-6;

/** Name -> shape, in the order of computing. */
export function parameterShapes({ stateFeatures, actionFeatures, width, blocks, outputs }: NetworkShape): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>([
    ['token.action', [actionFeatures, width]],
    ['token.state', [stateFeatures, width]],
    ['token.bias', [width]],
    ['context.norm', [width]],
    ['context.weight', [width, width]],
  ]);
  for (let i = 0; i < blocks; i++) {
    shapes.set(`block.${i}.norm`, [width]);
    shapes.set(`block.${i}.up`, [width, expansion * width]);
    shapes.set(`block.${i}.up_bias`, [expansion * width]);
    shapes.set(`block.${i}.down`, [expansion * width, width]);
    shapes.set(`block.${i}.down_bias`, [width]);
  }
  return shapes.set('head.norm', [width]).set('head.weight', [width, outputs]).set('head.bias', [outputs]);
}

/** Gains 1, biases 0, matrices uniform with variance 1 / inputs; the head starts small, so that all actions are worth the same at first. */
export function initialParameters(shape: NetworkShape, random: Random): Parameters {
  const parameters = new Map<string, Parameter>();
  for (const [name, size] of parameterShapes(shape)) {
    const data = new Float32Array(size.reduce((a, b) => a * b, 1));
    if (name.endsWith('norm')) data.fill(1);
    else if (size.length === 2) {
      const bound = name === 'head.weight' ? 0.01 : Math.sqrt(3 / size[0]!);
      for (let i = 0; i < data.length; i++) data[i] = bound * (2 * random() - 1);
    }
    parameters.set(name, { shape: size, data });
  }
  return parameters;
}

/** [actions][outputs], row-major. */
export type QNetwork = (decision: Decision) => Float32Array;

/** Throws RangeError where a parameter is missing or has another shape; the network, where a decision has another number of features. */
export function createNetwork(shape: NetworkShape, parameters: Parameters): QNetwork {
  const shapes = parameterShapes(shape);
  const of = (name: string): Float32Array => {
    const parameter = parameters.get(name);
    const wanted = shapes.get(name)!;
    if (parameter === undefined || parameter.shape.join() !== wanted.join()) {
      throw new RangeError(`parameter ${name} is ${parameter === undefined ? 'missing' : `[${parameter.shape.join(', ')}]`}; this network needs [${wanted.join(', ')}]`);
    }
    return parameter.data;
  };
  const { width, outputs, stateFeatures, actionFeatures } = shape;
  const [action, state, tokenBias] = [of('token.action'), of('token.state'), of('token.bias')];
  const [contextNorm, context] = [of('context.norm'), of('context.weight')];
  const blocks = Array.from({ length: shape.blocks }, (_, i) => ({
    norm: of(`block.${i}.norm`),
    up: of(`block.${i}.up`),
    upBias: of(`block.${i}.up_bias`),
    down: of(`block.${i}.down`),
    downBias: of(`block.${i}.down_bias`),
  }));
  const [headNorm, head, headBias] = [of('head.norm'), of('head.weight'), of('head.bias')];
  const normed = new Float32Array(width);
  const hidden = new Float32Array(expansion * width);
  const active = new Uint32Array(Math.max(stateFeatures, actionFeatures, expansion * width));
  const addProduct = (x: Float32Array, matrix: Float32Array, out: Float32Array): void => {
    addRows(x, active, matrix, out);
  };

  return (decision) => {
    const count = decision.kinds.length;
    if (decision.state.length !== stateFeatures || decision.actions.length !== count * actionFeatures) {
      throw new RangeError(`a decision with ${decision.state.length} features and ${decision.actions.length} of ${count} actions; this network takes ${stateFeatures} and ${actionFeatures} each`);
    }
    const shared = tokenBias.slice();
    addProduct(decision.state, state, shared);
    const tokens = new Float32Array(count * width);
    const mean = new Float32Array(width);
    for (let i = 0; i < count; i++) {
      const token = tokens.subarray(i * width, (i + 1) * width);
      token.set(shared);
      addProduct(decision.actions.subarray(i * actionFeatures, (i + 1) * actionFeatures), action, token);
      norm(token, contextNorm, normed);
      for (let j = 0; j < width; j++) mean[j]! += Math.max(0, normed[j]!) / count;
    }
    const common = new Float32Array(width);
    addProduct(mean, context, common);
    const result = new Float32Array(count * outputs);
    for (let i = 0; i < count; i++) {
      const x = tokens.subarray(i * width, (i + 1) * width);
      for (let j = 0; j < width; j++) x[j]! += common[j]!;
      for (const block of blocks) {
        norm(x, block.norm, normed);
        hidden.set(block.upBias);
        addProduct(normed, block.up, hidden);
        for (let j = 0; j < hidden.length; j++) hidden[j] = Math.max(0, hidden[j]!);
        addProduct(hidden, block.down, x);
        for (let j = 0; j < width; j++) x[j]! += block.downBias[j]!;
      }
      norm(x, headNorm, normed);
      const row = result.subarray(i * outputs, (i + 1) * outputs);
      row.set(headBias);
      addProduct(normed, head, row);
    }
    return result;
  };
}

/**
 * out += x matrix; the matrix is [inputs, outputs]. Inputs that are 0, half of a hidden layer, cost nothing; the others are
 * taken four at a time, for fewer passes over `out`. What is in `active` does not matter; it is room for x.length numbers.
 */
function addRows(x: Float32Array, active: Uint32Array, matrix: Float32Array, out: Float32Array): void {
  const outputs = out.length;
  let count = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) active[count++] = i;
  let k = 0;
  for (; k + 4 <= count; k += 4) {
    const [a, b, c, d] = [active[k]!, active[k + 1]!, active[k + 2]!, active[k + 3]!];
    const [xa, xb, xc, xd] = [x[a]!, x[b]!, x[c]!, x[d]!];
    const [ra, rb, rc, rd] = [a * outputs, b * outputs, c * outputs, d * outputs];
    for (let j = 0; j < outputs; j++) out[j]! += xa * matrix[ra + j]! + xb * matrix[rb + j]! + xc * matrix[rc + j]! + xd * matrix[rd + j]!;
  }
  for (; k < count; k++) {
    const scale = x[active[k]!]!;
    const row = active[k]! * outputs;
    for (let j = 0; j < outputs; j++) out[j]! += scale * matrix[row + j]!;
  }
}

/** RMSNorm. */
function norm(x: Float32Array, gain: Float32Array, out: Float32Array): void {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + normEpsilon);
  for (let i = 0; i < x.length; i++) out[i] = x[i]! * scale * gain[i]!;
}
