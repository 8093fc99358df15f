/** Policies as deciders: which action, what reading on is worth, and which file is used. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import { featureNames } from '../../src/reader/features.js';
import { initialParameters, type NetworkShape } from '../../src/reader/network.js';
import { savePolicy } from '../../src/reader/policy.js';
import { policyStrategy } from '../../src/reader/policy-strategy.js';
import { shippedStrategy } from '../../src/reader/shipped-strategy.js';
import type { Choice } from '../../src/reader/strategies.js';
import { Simulation } from '../../src/reader/simulation/environment.js';
import { createHead, readerHead } from '../../src/reader/value-head.js';
import { scratch } from '../cli/run.js';

const shape: NetworkShape = { stateFeatures: featureNames.state.length, actionFeatures: featureNames.action.length, width: 16, blocks: 1, outputs: createHead(readerHead).outputs };
const simulation = new Simulation({ split: 'train', corpora: 1, leaves: [160, 160], questions: 20 });

describe('a policy', () => {
  it('does what it values most, and says what reading on is worth', () => {
    const { state } = simulation.task(3);
    const kinds = state.actions().map(({ kind }) => kind);
    const decide = (values: (kind: string, i: number) => number): Choice =>
      policyStrategy({ values: ({ kinds: list }) => Float64Array.from(list, values) }).begin()(state);
    expect(decide((kind) => (kind === 'abstain' ? 0.4 : kind === 'answer' ? 0.3 : 0.1))).toEqual({ action: { kind: 'abstain' }, gain: expect.closeTo(-0.3) as number });
    const last = kinds.length - 1;
    expect(decide((_, i) => (i === last ? 0.9 : 0.5))).toEqual({ action: state.actions()[last], gain: expect.closeTo(0.4) as number });
  });

  it('thinks nothing of reading on where nothing can be read', () => {
    const { state } = simulation.task(3, { budget: 1, lambda: 0.1 });
    const policy = policyStrategy({ values: ({ kinds }) => Float64Array.from(kinds, (kind) => (kind === 'answer' ? 1 : 0)) });
    expect(policy.begin()(state)).toEqual({ action: { kind: 'answer' }, gain: 0 });
  });

  it('is used where its file fits, and a fixed rule is where there is none or it is made for other features', async () => {
    const file = path.join(scratch(), 'policy.safetensors');
    expect((await shippedStrategy(file)).trained).toBe(false);
    const description = { network: shape, head: readerHead, trainedOn: 'nothing' };
    await savePolicy(file, description, initialParameters(shape, createRandom(1)));
    const { strategy, trained, mostTokens } = await shippedStrategy(file);
    expect([trained, mostTokens]).toEqual([true, 16_384]);
    const task = simulation.task(5);
    const choose = strategy.begin();
    while (task.ended === null) task.perform(choose(task.state).action);
    const other = { ...shape, stateFeatures: shape.stateFeatures + 1 };
    await savePolicy(file, { ...description, network: other }, initialParameters(other, createRandom(1)));
    expect((await shippedStrategy(file)).trained).toBe(false);
    writeFileSync(file, readFileSync(file).subarray(0, 50));
    await expect(shippedStrategy(file)).rejects.toThrow(file);
  });
});
