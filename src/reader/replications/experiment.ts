/** What a replication is: arms that differ in one thing, each with a learning rate of its own, run with several seeds. */

export interface Experiment {
  readonly id: string;
  /** Of the paper, in a few words. */
  readonly claim: string;
  /** Task, network, budget. */
  readonly setup: string;
  /** What the figures are. */
  readonly measure: string;
  readonly better: 'higher' | 'lower';
  readonly arms: readonly string[];
  /** Conditions; each is run anew. */
  readonly conditions: readonly string[];
  /** Figures that a run gives; the last one decides about the learning rate. */
  readonly columns: readonly string[];
  /** Tried with one seed that is not reported; a single one is not tuned. */
  readonly learningRates: readonly number[];
  /** Whether an arm is tuned in each condition, or in the first, for all of them. */
  readonly tuned: 'each condition' | 'first condition';
  readonly seeds: number;
  run(arm: string, condition: string, learningRate: number, seed: number): Promise<readonly number[]>;
}

export interface Run {
  readonly arm: string;
  readonly condition: string;
  readonly learningRate: number;
  readonly seed: number;
  /** By column. */
  readonly figures: readonly number[];
}

/** Of the runs that choose the learning rate. */
const tuningSeed = 1000;

/**
 * Makes the runs of the report: for each condition and arm, the learning rates, then the seeds with the best of them. `run` may know a
 * result from before, and is asked for the same again.
 */
export async function runExperiment(experiment: Experiment, run: (arm: string, condition: string, learningRate: number, seed: number) => Promise<Run>): Promise<Run[]> {
  const { arms, conditions, learningRates, seeds, tuned } = experiment;
  const sign = experiment.better === 'higher' ? 1 : -1;
  const bestRate = async (arm: string, condition: string): Promise<number> => {
    if (learningRates.length === 1) return learningRates[0]!;
    let best = { learningRate: learningRates[0]!, score: -Infinity };
    for (const learningRate of learningRates) {
      const score = sign * (await run(arm, condition, learningRate, tuningSeed)).figures.at(-1)!;
      // NaN, where a rate is too high, is never better.
      if (score > best.score) best = { learningRate, score };
    }
    return best.learningRate;
  };
  const runs: Run[] = [];
  for (const condition of conditions) {
    for (const arm of arms) {
      const learningRate = await bestRate(arm, tuned === 'each condition' ? condition : conditions[0]!);
      for (let seed = 0; seed < seeds; seed++) runs.push(await run(arm, condition, learningRate, seed));
    }
  }
  return runs;
}
