/** Targets and losses of training on episodes small enough to work out by hand, and that a killed run goes on exactly. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import type { ActionKind, Episode, Step } from '../../src/reader/decision.js';
import { measureReturns } from '../../src/reader/returns.js';
import { createMiniature } from '../../src/reader/miniature.js';
import type { Parameters } from '../../src/reader/network.js';
import { atRandom, greedy, play, playAgain, randomEpisode } from '../../src/reader/rollout.js';
import { makeBatch } from '../../src/reader/training/batch.js';
import { trainingDefaults, type TdOptions, type TrainingOptions } from '../../src/reader/training/options.js';
import { lambdaReturns, tdLoss } from '../../src/reader/training/td-loss.js';
import { openTensorFlow, type TrainingBackend } from '../../src/reader/training/tensorflow.js';
import { train } from '../../src/reader/training/trainer.js';
import { createHead, lossNames, readerHead } from '../../src/reader/value-head.js';

const kinds: ActionKind[] = ['answer', 'abstain', 'read', 'skim'];
const step = (chosen: number, reward: number, answer = 0): Step => ({
  decision: { state: new Float32Array(1), actions: new Float32Array(4), kinds },
  chosen,
  reward,
  endingRewards: { answer, abstain: 0.25 },
});
/** Reads, skims, answers. */
const episode: Episode = [step(2, -0.1), step(3, -0.02), step(0, 1, 1)];
const mse = createHead({ ...readerHead, loss: 'mse' });

describe('lambda-returns', () => {
  const target = [[9, 9, 9, 9], [0.2, 0.3, 0.5, 0.4], [0.7, 0.1, 0.2, 0.6]];
  const returns = (options: Partial<TdOptions>, online: number[][]): number[] =>
    lambdaReturns(episode, mse, online.map((row) => Float64Array.from(row)), (t, action) => Float64Array.of(target[t]![action]!), { bootstrap: 'q-learning', lambda: 0.5, discount: 0.9, ...options }).map(([value]) => value!);
  const close = (made: number[], wanted: number[]): void => {
    for (const [i, value] of made.entries()) expect(value, `step ${i}`).toBeCloseTo(wanted[i]!, 12);
  };
  /** Likes what was executed. */
  const agreeing = [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]];

  it('are rewards alone for Monte Carlo', () => close(returns({ bootstrap: 'monte-carlo' }, agreeing), [-0.1 + 0.9 * (-0.02 + 0.9), -0.02 + 0.9, 1]));

  it('mix what was executed with what the target network says of it', () => {
    const second = -0.02 + 0.9 * (0.5 * 0.7 + 0.5 * 1);
    close(returns({}, agreeing), [-0.1 + 0.9 * (0.5 * 0.4 + 0.5 * second), second, 1]);
    close(returns({ bootstrap: 'sarsa' }, [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]), [-0.1 + 0.9 * (0.5 * 0.4 + 0.5 * second), second, 1]);
  });

  it('of Q-learning leave the executed actions where the online network would, and take the target network\'s value', () => {
    close(returns({}, [[0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 0, 0]]), [-0.1 + 0.9 * 0.5, -0.02 + 0.9 * 0.1, 1]);
  });

  it('of one step never look further', () => close(returns({ lambda: 0 }, agreeing), [-0.1 + 0.9 * 0.4, -0.02 + 0.9 * 0.7, 1]));

  it.each(lossNames)('have the same mean as those of numbers: %s', (loss) => {
    const head = createHead({ ...readerHead, loss });
    const random = createRandom(5);
    const rows = Array.from({ length: 3 }, () => Array.from({ length: 4 }, () => Float64Array.from({ length: head.outputs }, () => (loss === 'bce' ? 0.3 : 1) * (random() - 0.5))));
    const values = rows.map((row) => Float64Array.from(row, (outputs) => head.value(outputs)));
    const options = { bootstrap: 'sarsa', lambda: 0.6, discount: 1 } as const;
    const made = lambdaReturns(episode, head, values, (t, a) => rows[t]![a]!, options);
    const plain = lambdaReturns(episode, mse, values, (t, a) => Float64Array.of(values[t]![a]!), options);
    const meanOf = (targets: Float64Array): number => {
      if (head.targetSize === 1) return targets[0]!;
      if (loss === 'bce') return -0.25 + 1.25 * targets[0]! + targets[1]!;
      return targets.reduce((sum, p, i) => sum + p * (-0.6 + (i * 1.7) / 50), 0);
    };
    // C51 clamps what little mass leaves the support.
    for (const [i, row] of made.entries()) expect(Math.abs(meanOf(row) - plain[i]![0]!)).toBeLessThan(loss === 'c51' ? 0.01 : 1e-9);
  });
});

describe('the loss of a batch', () => {
  const batch = makeBatch([episode]);
  const options: TdOptions = { bootstrap: 'monte-carlo', lambda: 1, discount: 1, conservative: 0 };
  const outputs = Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.1, 0.2, 0.3, 0.4, 0.5, 0.1, 0.2);

  it('trains both endings at every state, the executed reading, and nothing else', () => {
    const { loss, gradient } = tdLoss(batch, mse, outputs, outputs, options);
    // Errors of answer, abstain and what was executed; grades are 0, 0 and 1.
    const errors = [0.1 - 0, 0.2 - 0.25, 0.3 - 0.88, 0, 0.5 - 0, 0.1 - 0.25, 0, 0.3 - 0.98, 0.4 - 1, 0.5 - 0.25, 0, 0];
    for (const [i, error] of errors.entries()) expect(gradient[i], `output ${i}`).toBeCloseTo(error / 3, 6);
    expect(loss).toBeCloseTo(errors.reduce((sum, error) => sum + error ** 2 / 6, 0), 6);
  });

  it('is conservative about readings alone', () => {
    const plain = tdLoss(batch, mse, outputs, outputs, options).gradient;
    const { gradient } = tdLoss(batch, mse, outputs, outputs, { ...options, conservative: 0.5 });
    const share = 1 / (1 + Math.exp(0.3 - 0.4));
    const added = [0, 0, 1 - share - 1, share, 0, 0, share, -share, 0, 0, 0, 0];
    expect(gradient[2]! - plain[2]!).toBeCloseTo((0.5 / 3) * added[2]!, 6);
    expect(gradient[3]! - plain[3]!).toBeCloseTo((0.5 / 3) * added[3]!, 6);
    for (const i of [0, 1, 4, 5, 8, 9, 10, 11]) expect(gradient[i]).toBe(plain[i]);
  });

  it('counts targets outside the support', () => {
    const head = createHead({ ...readerHead, support: { low: -0.05, high: 1.1, bins: 51 } });
    const [low] = [makeBatch([[step(2, -0.5), step(0, 0, 0)]])];
    tdLoss(low!, head, new Float32Array(8 * 51), new Float32Array(8 * 51), options);
    expect(head.clamps).toEqual({ targets: 5, clamped: 1 });
  });
});

describe('training', () => {
  const environment = createMiniature();
  let backend: TrainingBackend;
  beforeAll(async () => {
    backend = await openTensorFlow();
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'lodestone-training-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const small: TrainingOptions = { ...trainingDefaults, seed: 1, head: { ...readerHead, support: { low: -0.6, high: 1.1, bins: 21 } }, width: 8, blocks: 1, batch: 4, offlineEpisodes: 20, offlineUpdates: 3, onlineUpdates: 3, episodesPerUpdate: 2 };
  const run = { offlineEpisode: (seed: number) => randomEpisode(environment, seed), trainedOn: 'the miniature' };
  const numbers = (parameters: Parameters): number[] => [...parameters.values()].flatMap(({ data }) => [...data]);

  it('gives the same policy again, also when it was stopped and goes on', async () => {
    const whole = await train(environment, small, { ...run, backend });
    const checkpoint = { path: path.join(folder, 'checkpoint.safetensors'), every: 100 };
    // Stopped offline, then online, each time between the regular checkpoints.
    for (const at of [2, 5]) {
      const stop = new AbortController();
      const onProgress = ({ update }: { update: number }): void => {
        if (update === at) stop.abort(new Error(`stopped at ${at}`));
      };
      await expect(train(environment, small, { ...run, backend, checkpoint, signal: stop.signal, onProgress })).rejects.toThrow(`stopped at ${at}`);
    }
    const updates: number[] = [];
    const resumed = await train(environment, small, { ...run, backend, checkpoint, onProgress: ({ update }) => updates.push(update) });
    expect(updates).toEqual([6]);
    expect(numbers(resumed.parameters)).toEqual(numbers(whole.parameters));
    await expect(train(environment, { ...small, learningRate: 1 }, { ...run, backend, checkpoint })).rejects.toThrow(/checkpoint\.safetensors: belongs to training with other options/u);
  });

  it.each(['mse', 'c51', 'hl-gauss', 'bce'] as const)('learns what the endings pay: %s', { timeout: 120_000 }, async (loss) => {
    const options: TrainingOptions = { ...small, head: { ...small.head, loss }, width: 16, batch: 16, offlineEpisodes: 200, offlineUpdates: 150, onlineUpdates: 0, learningRate: 1e-2, targetRate: 0.05 };
    const { policy, clampRate } = await train(environment, options, { ...run, backend });
    const seeds = Array.from({ length: 100 }, (_, i) => 5_000_000 + i);
    const learned = measureReturns(environment, seeds, () => greedy(policy));
    const untrained = measureReturns(environment, seeds, (seed) => atRandom(createRandom(seed), 0.3));
    expect(learned.return).toBeGreaterThan(untrained.return + 0.05);
    expect(clampRate).toBeLessThan(0.01);
  });
});

describe('the miniature', () => {
  const environment = createMiniature({ readCost: 0.04, flippedGrades: 0.3, rewardNoise: 0.1 });

  it('plays a task again from its actions', () => {
    for (let seed = 0; seed < 20; seed++) {
      const first = play(environment, seed, atRandom(createRandom(seed), 0.1));
      expect(playAgain(environment, { seed, actions: first.map(({ chosen }) => chosen) })).toEqual(first);
    }
  });

  it('offers both endings always, costs what it says, and pays the ending that was shown', () => {
    for (let seed = 0; seed < 50; seed++) {
      for (const { decision, chosen, reward, endingRewards } of play(environment, seed, atRandom(createRandom(seed), 0.02))) {
        expect(decision.kinds.slice(0, 2)).toEqual(['answer', 'abstain']);
        expect(decision.actions.length).toBe(decision.kinds.length * environment.actionFeatures);
        const kind = decision.kinds[chosen]!;
        if (kind === 'answer' || kind === 'abstain') expect(reward).toBe(endingRewards[kind]);
        else expect(reward).toBeCloseTo(kind === 'read' ? -0.04 : -0.005, 12);
      }
    }
  });
});
