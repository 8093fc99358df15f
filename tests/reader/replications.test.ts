/** What the replications report with: statistics, the choice of learning rates, tables and plots. */
import { describe, expect, it } from 'vitest';
import { createRandom } from '../../src/random.js';
import { type Experiment, type Run, runExperiment } from '../../src/reader/replications/experiment.js';
import { linearProbe } from '../../src/reader/replications/linear-probe.js';
import { plot } from '../../src/reader/replications/plot.js';
import { cellsOf, resultsTable } from '../../src/reader/replications/table.js';
import { bootstrapInterval, interquartileMean, mean } from '../../src/reader/statistics.js';

describe('interquartile means', () => {
  it.each([
    [[3], 3],
    [[1, 2, 3, 100], 2.5],
    // A quarter of 5 is 1.25: 2 and 4 count three quarters, 3 wholly.
    [[100, 4, 3, 2, -50], (0.75 * 2 + 3 + 0.75 * 4) / 2.5],
    [[8, 7, 6, 5, 4, 3, 2, 1], 4.5],
  ])('of %j are %d', (values, wanted) => expect(interquartileMean(values)).toBeCloseTo(wanted, 12));
});

describe('bootstrap intervals', () => {
  it('of means have the width that theory gives, and are the same again', () => {
    const random = createRandom(4);
    const values = Array.from({ length: 400 }, () => random());
    const interval = bootstrapInterval([values], mean);
    // 1.96 standard errors of a uniform distribution on each side.
    const wanted = (2 * 1.96 * Math.sqrt(1 / 12)) / Math.sqrt(400);
    expect((interval.high - interval.low) / wanted).toBeGreaterThan(0.85);
    expect((interval.high - interval.low) / wanted).toBeLessThan(1.15);
    expect(bootstrapInterval([values], mean)).toEqual(interval);
  });

  it('draw within strata', () => {
    // Every resample has one value of each: no spread between the strata is left.
    expect(bootstrapInterval([[0, 0], [10, 10]], mean)).toEqual({ low: 5, high: 5 });
  });
});

describe('an experiment', () => {
  const experiment: Experiment = {
    id: 'E0',
    claim: 'A & B',
    setup: 'Made up',
    measure: 'error',
    better: 'lower',
    arms: ['A', 'B'],
    conditions: ['easy', 'hard'],
    columns: ['first', 'last'],
    learningRates: [0.1, 0.2, 0.3],
    tuned: 'each condition',
    seeds: 2,
    // A is best at 0.2, B diverges above 0.1.
    run: async (arm, condition, rate, seed) => [9, arm === 'A' ? Math.abs(rate - 0.2) + (condition === 'hard' ? 1 : 0) + seed / 1e6 : rate > 0.1 ? NaN : 0.5],
  };
  const made = (): Promise<Run[]> => runExperiment(experiment, async (arm, condition, learningRate, seed) => ({ arm, condition, learningRate, seed, figures: await experiment.run(arm, condition, learningRate, seed) }));

  it('chooses each arm\'s learning rate on a seed that is not reported', async () => {
    const runs = await made();
    expect(runs.map(({ arm, condition, learningRate, seed }) => `${arm} ${condition} ${learningRate} ${seed}`)).toEqual(['A easy 0.2 0', 'A easy 0.2 1', 'B easy 0.1 0', 'B easy 0.1 1', 'A hard 0.2 0', 'A hard 0.2 1', 'B hard 0.1 0', 'B hard 0.1 1']);
  });

  it('is shown as a table and as a plot', async () => {
    const runs = await made();
    expect(cellsOf(experiment, runs).length).toBe(8);
    const table = resultsTable(experiment, runs);
    expect(table).toContain('| arm | easy: first | easy: last | hard: first | hard: last | learning rate |');
    expect(table).toContain('| B | 9.000 (9.000 to 9.000) | 0.500 (0.500 to 0.500) |');
    const svg = plot(experiment, runs);
    expect(svg).toContain('<title>A &#38; B</title>');
    expect(svg.match(/<circle/gu)?.length).toBe(8 + 2);
    expect(svg).not.toMatch(/NaN|undefined/u);
  });
});

it('a linear probe explains what is linear, on rows that it has not seen', () => {
  const random = createRandom(8);
  const rows = (noise: number): { x: Float32Array; y: number }[] =>
    Array.from({ length: 200 }, () => {
      const x = Float32Array.from({ length: 5 }, () => 2 * random() - 1);
      return { x, y: 3 * x[0]! - 2 * x[4]! + 1 + noise * (random() - 0.5) };
    });
  expect(linearProbe(rows(0), rows(0))).toBeGreaterThan(0.999);
  const halves = linearProbe(rows(9), rows(9));
  expect(halves).toBeGreaterThan(0.2);
  expect(halves).toBeLessThan(0.6);
});
