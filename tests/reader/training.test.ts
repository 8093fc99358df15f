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
import { followedActions, gradeOutputs, lambdaReturns, rowsToTrain, tdTargets } from '../../src/reader/training/td-targets.js';
import { openTensorFlow, type TrainingBackend } from '../../src/reader/training/tensorflow.js';
import { train, type TrainingProgress } from '../../src/reader/training/trainer.js';
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
const mse = createHead({ ...readerHead, loss: 'mse', support: { low: -1.1, high: 1.1, bins: 51 } });

describe('lambda-returns', () => {
  /** Of the target network, by step and action. */
  const target = [[9, 9, 9, 9], [0.2, 0.3, 0.5, 0.4], [0.7, 0.1, 0.2, 0.6]];
  const returns = (options: Partial<TdOptions>, followed: number[]): number[] =>
    lambdaReturns(episode, mse, followed, (t) => Float64Array.of(target[t]![followed[t]!]!), { bootstrap: 'q-learning', lambda: 0.5, discount: 0.9, ...options }).map(([value]) => value!);
  const close = (made: number[], wanted: number[]): void => {
    for (const [i, value] of made.entries()) expect(value, `step ${i}`).toBeCloseTo(wanted[i]!, 12);
  };
  const executed = [2, 3, 0];

  it('are rewards alone for Monte Carlo', () => close(returns({ bootstrap: 'monte-carlo' }, executed), [-0.1 + 0.9 * (-0.02 + 0.9), -0.02 + 0.9, 1]));

  it('mix what was executed with what the target network says of it', () => {
    const second = -0.02 + 0.9 * (0.5 * 0.7 + 0.5 * 1);
    close(returns({}, executed), [-0.1 + 0.9 * (0.5 * 0.4 + 0.5 * second), second, 1]);
  });

  it('leave the executed actions where another is followed', () => close(returns({}, [2, 2, 1]), [-0.1 + 0.9 * 0.5, -0.02 + 0.9 * 0.1, 1]));

  it('of one step never look further', () => close(returns({ lambda: 0 }, executed), [-0.1 + 0.9 * 0.4, -0.02 + 0.9 * 0.7, 1]));

  it.each(lossNames)('have the same mean as those of numbers: %s', (loss) => {
    const head = createHead({ ...readerHead, loss });
    const random = createRandom(5);
    const rows = executed.map(() => Float64Array.from({ length: head.outputs }, () => (loss === 'bce' ? 0.3 : 1) * (random() - 0.5)));
    const options = { bootstrap: 'sarsa', lambda: 0.6, discount: 1 } as const;
    const made = lambdaReturns(episode, head, executed, (t) => rows[t]!, options);
    const plain = lambdaReturns(episode, mse, executed, (t) => Float64Array.of(head.value(rows[t]!)), options);
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
  const targets = tdTargets(batch, mse, [2, 3, 0], new Float32Array(3), options);
  /** By row of the batch. */
  const gradientOf = (conservative: number): { readonly loss: number; readonly gradient: number[] } => {
    const rows = rowsToTrain(batch, targets, conservative).toReversed();
    const { loss, gradient } = gradeOutputs(batch, mse, targets, rows, Float32Array.from(rows, (row) => outputs[row]!), conservative);
    return { loss, gradient: Array.from(outputs, (_, row) => gradient[rows.indexOf(row)] ?? 0) };
  };

  it('trains both endings at every state, the executed reading, and nothing else', () => {
    expect(rowsToTrain(batch, targets, 0).sort((a, b) => a - b)).toEqual([0, 1, 2, 4, 5, 7, 8, 9]);
    const { loss, gradient } = gradientOf(0);
    // Errors of answer, abstain and what was executed; grades are 0, 0 and 1.
    const errors = [0.1 - 0, 0.2 - 0.25, 0.3 - 0.88, 0, 0.5 - 0, 0.1 - 0.25, 0, 0.3 - 0.98, 0.4 - 1, 0.5 - 0.25, 0, 0];
    for (const [i, error] of errors.entries()) expect(gradient[i], `row ${i}`).toBeCloseTo(error / 3, 6);
    expect(loss).toBeCloseTo(errors.reduce((sum, error) => sum + error ** 2 / 6, 0), 6);
  });

  it('is conservative about readings alone', () => {
    const [plain, held] = [gradientOf(0).gradient, gradientOf(0.5).gradient];
    // Values 0.3 (executed) and 0.4, then 0.2 and 0.3 (executed).
    const [first, second] = [1 / (1 + Math.exp(0.1)), 1 / (1 + Math.exp(-0.1))];
    const added = [0, 0, first - 1, 1 - first, 0, 0, 1 - second, second - 1, 0, 0, 0, 0];
    for (const [i, each] of added.entries()) expect(held[i]! - plain[i]!, `row ${i}`).toBeCloseTo((0.5 / 3) * each, 6);
  });

  it('Q-learning follows what the online network likes best, the others what was executed', () => {
    const likes = (rows: readonly number[]): Float32Array => Float32Array.from(rows, (row) => outputs[row]!);
    // Of the first state, which nothing leads to, no more is asked than what was executed.
    expect(followedActions(batch, mse, { ...options, bootstrap: 'q-learning' }, likes)).toEqual([2, 0, 1]);
    expect(followedActions(batch, mse, { ...options, bootstrap: 'sarsa' }, likes)).toEqual([2, 3, 0]);
  });

  it('counts targets outside the support', () => {
    const head = createHead({ ...readerHead, support: { low: -0.05, high: 1.1, bins: 51 } });
    const low = makeBatch([[step(2, -0.5), step(0, 0, 0)]]);
    const wanted = tdTargets(low, head, [2, 0], new Float32Array(2 * 51), options);
    gradeOutputs(low, head, wanted, [...wanted.keys()], new Float32Array(wanted.size * 51), 0);
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
      const onProgress = ({ stage, done }: TrainingProgress): void => {
        if (stage === 'updates' && done === at) stop.abort(new Error(`stopped at ${at}`));
      };
      await expect(train(environment, small, { ...run, backend, checkpoint, signal: stop.signal, onProgress })).rejects.toThrow(`stopped at ${at}`);
    }
    const updates: number[] = [];
    const resumed = await train(environment, small, { ...run, backend, checkpoint, onProgress: ({ stage, done }) => stage === 'updates' && updates.push(done) });
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
