/** The network that decides: properties, its file, and the same numbers in TensorFlow.js. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import type { ActionKind, Decision } from '../../src/reader/decision.js';
import { createNetwork, initialParameters, type NetworkShape, type Parameter, type Parameters } from '../../src/reader/network.js';
import { createPolicy, encodePolicy, openPolicy, savePolicy, type PolicyDescription } from '../../src/reader/policy.js';
import { adamW, zeroMoments } from '../../src/reader/training/adamw.js';
import { makeBatch, rowOf } from '../../src/reader/training/batch.js';
import { createTensorNetwork, type TensorNetwork } from '../../src/reader/training/tensor-network.js';
import { openTensorFlow } from '../../src/reader/training/tensorflow.js';
import { createHead, readerHead } from '../../src/reader/value-head.js';

const shape: NetworkShape = { stateFeatures: 5, actionFeatures: 3, width: 16, blocks: 2, outputs: 51 };

/** Every number drawn, gains and biases too: what starts at 0 or 1 would hide a mistake. */
function drawnParameters(seed: number, of = shape): Parameters {
  const random = createRandom(seed);
  return new Map([...initialParameters(of, random)].map(([name, { shape, data }]) => [name, { shape, data: data.map((x) => x + 0.4 * (random() - 0.5)) }]));
}

function drawnDecision(actions: number, seed: number): Decision {
  const random = createRandom(seed);
  const draw = (count: number): Float32Array => Float32Array.from({ length: count }, () => 2 * random() - 1);
  const kinds = Array.from({ length: actions }, (_, i): ActionKind => (i === 0 ? 'answer' : i === 1 ? 'abstain' : 'read'));
  return { state: draw(shape.stateFeatures), actions: draw(actions * shape.actionFeatures), kinds };
}

const worst = (a: Float32Array, b: Float32Array): number => {
  expect(a.length).toBe(b.length);
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
};

describe('the network', () => {
  const network = createNetwork(shape, drawnParameters(1));

  it('does not depend on the order of actions', () => {
    const decision = drawnDecision(7, 2);
    const turned = { ...decision, actions: Float32Array.from({ length: 21 }, (_, i) => decision.actions[3 * (6 - Math.floor(i / 3)) + (i % 3)]!) };
    const outputs = network(decision);
    const rows = Array.from({ length: 7 }, (_, i) => outputs.subarray(51 * (6 - i), 51 * (7 - i)));
    for (const [i, row] of rows.entries()) expect(worst(network(turned).subarray(51 * i, 51 * (i + 1)), row)).toBeLessThan(1e-5);
  });

  it('sees the other actions', () => {
    const decision = drawnDecision(7, 2);
    const other = { ...decision, actions: decision.actions.map((x, i) => (i >= 18 ? -x : x)) };
    expect(worst(network(other).subarray(0, 51), network(decision).subarray(0, 51))).toBeGreaterThan(1e-3);
  });

  it('refuses decisions and parameters that are not its own', () => {
    const decision = drawnDecision(4, 3);
    expect(() => network({ ...decision, state: new Float32Array(6) })).toThrow(/6 features.*takes 5/u);
    expect(() => network({ ...decision, kinds: ['answer'] })).toThrow(RangeError);
    expect(() => createNetwork({ ...shape, blocks: 3 }, drawnParameters(1))).toThrow(/block\.2\.norm is missing/u);
    expect(() => createNetwork({ ...shape, outputs: 1 }, drawnParameters(1))).toThrow(/head\.weight is \[16, 51\]/u);
  });
});

describe('a policy\'s file', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'lodestone-policy-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const description: PolicyDescription = { network: shape, head: readerHead, trainedOn: 'a test' };

  it('gives the same values back, but for f16', async () => {
    const file = path.join(folder, 'policy.safetensors');
    await savePolicy(file, description, drawnParameters(4));
    const policy = await openPolicy(file);
    expect(policy.description).toEqual(description);
    const decision = drawnDecision(9, 5);
    const [there, here] = [policy.values(decision), createPolicy(description, drawnParameters(4)).values(decision)];
    expect(there.length).toBe(9);
    for (const [i, value] of there.entries()) expect(Math.abs(value - here[i]!)).toBeLessThan(3e-3);
    expect(there.some((value, i) => value !== here[i])).toBe(true);
  });

  it.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
    ['cut short', (bytes) => bytes.subarray(0, -10), /but the file has/u],
    ['other sizes', () => encodePolicy({ ...description, network: { ...shape, width: 32 } }, drawnParameters(4)), /token\.action is \[3, 16\], where this network needs \[3, 32\]/u],
    ['more blocks than tensors', () => encodePolicy({ ...description, network: { ...shape, blocks: 9 } }, drawnParameters(4)), /block\.2\.norm is missing/u],
    ['endless blocks', () => encodePolicy({ ...description, network: { ...shape, blocks: 1e9 } }, drawnParameters(4)), /describes no policy/u],
    ['another head', () => encodePolicy({ ...description, head: { ...readerHead, loss: 'mse' } }, drawnParameters(4)), /51 outputs, where its head reads 1/u],
    ['a loss to come', () => encodePolicy({ ...description, head: { ...readerHead, loss: 'quantile' as 'mse' } }, drawnParameters(4)), /loss quantile/u],
    ['no description', () => readFileSync(new URL('../../fixtures/gemma3-tiny/model.safetensors', import.meta.url)), /is no policy of the reader/u],
  ])('is refused in one line: %s', async (_name, make, message) => {
    const file = path.join(folder, 'bad.safetensors');
    writeFileSync(file, make(encodePolicy(description, drawnParameters(4))));
    await expect(openPolicy(file)).rejects.toThrow(message);
    await expect(openPolicy(file)).rejects.toThrow(file);
  });
});

describe('in TensorFlow.js', () => {
  let tensorNetwork: TensorNetwork;
  beforeAll(async () => {
    tensorNetwork = createTensorNetwork(await openTensorFlow(), shape);
  });
  const parameters = drawnParameters(6);
  // Three decisions with unequal numbers of actions.
  const episodes = [[2, 6], [4]].map((sizes, e) => sizes.map((size, i) => ({ decision: drawnDecision(size, 10 * e + i), chosen: 0, reward: 0, endingRewards: { answer: 0, abstain: 0 } })));
  const batch = makeBatch(episodes);

  it('the outputs are the same', () => {
    const outputs = tensorNetwork.outputs(parameters, batch, Array.from({ length: batch.states * batch.slots }, (_, row) => row));
    const network = createNetwork(shape, parameters);
    for (const [i, { decision }] of episodes.flat().entries()) {
      const rows = outputs.subarray(i * batch.slots * 51, (i * batch.slots + decision.kinds.length) * 51);
      expect(worst(rows, network(decision))).toBeLessThan(1e-5);
    }
  });

  it('the gradient of every parameter is the slope of the loss', () => {
    const head = createHead(readerHead);
    const loss = (given: Parameters): number => {
      const network = createNetwork(shape, given);
      return episodes.flat().reduce((sum, { decision }) => sum + head.loss(network(decision).subarray(51, 102), Float64Array.of(0.4), 0, new Float32Array(51)), 0);
    };
    // The second action of each state, in any order.
    const rows = [2, 0, 1].map((state) => rowOf(batch, state, 1));
    const gradients = tensorNetwork.gradients(parameters, batch, rows, (outputs) => {
      const gradient = new Float32Array(outputs.length);
      for (let i = 0; i < rows.length; i++) head.loss(outputs.subarray(i * 51, (i + 1) * 51), Float64Array.of(0.4), 1, gradient.subarray(i * 51, (i + 1) * 51));
      return gradient;
    });
    const random = createRandom(7);
    for (const [name, { shape, data }] of parameters) {
      // Along a random direction: every element counts at once.
      const direction = data.map(() => 2 * random() - 1);
      const step = 1e-3;
      const moved = (by: number): Parameters => new Map<string, Parameter>([...parameters, [name, { shape, data: data.map((x, i) => x + by * direction[i]!) }]]);
      const slope = (loss(moved(step)) - loss(moved(-step))) / (2 * step);
      const product = gradients.get(name)!.reduce((sum, x, i) => sum + x * direction[i]!, 0);
      expect(Math.abs(product - slope), name).toBeLessThan(0.01 + 0.02 * Math.abs(slope));
    }
  });
});

it('AdamW takes PyTorch\'s steps', () => {
  const { adamw } = JSON.parse(readFileSync(new URL('../../fixtures/reader/vectors.json', import.meta.url), 'utf8')) as { adamw: { start: number[]; gradients: number[][]; path: number[][] } };
  const data = Float32Array.from(adamw.start);
  // A matrix of one column: biases would not decay.
  const parameters: Parameters = new Map([['x', { shape: [3, 1], data }]]);
  const moments = zeroMoments(parameters);
  for (const [i, gradient] of adamw.gradients.entries()) {
    adamW(parameters, new Map([['x', Float32Array.from(gradient)]]), moments, i + 1, { learningRate: 0.05, epsilon: 3e-4, weightDecay: 0.01, clip: 2 });
    expect(worst(data, Float32Array.from(adamw.path[i]!)), `step ${i + 1}`).toBeLessThan(1e-5);
  }
});
