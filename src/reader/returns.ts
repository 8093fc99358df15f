/** What a rule of choosing is worth on tasks of an environment. */
import type { Interval } from '../recall/statistics.js';
import type { Environment } from './decision.js';
import { type Chooser, play } from './rollout.js';
import { bootstrapInterval, mean } from './statistics.js';

/** Means over tasks. */
export interface Returns {
  readonly tasks: number;
  /** Of all rewards. */
  readonly return: number;
  readonly returnInterval: Interval;
  /** What the endings paid: the return without the costs. */
  readonly paid: number;
  /** Share of tasks that ended by saying that the answer is not there. */
  readonly abstained: number;
  /** Actions before the ending. */
  readonly steps: number;
}

/** @param of makes the rule for a task; the same seeds meet the same tasks */
export function measureReturns(environment: Environment, seeds: readonly number[], of: (seed: number) => Chooser): Returns {
  const played = seeds.map((seed) => {
    const episode = play(environment, seed, of(seed));
    const last = episode.at(-1)!;
    return {
      return: episode.reduce((sum, { reward }) => sum + reward, 0),
      paid: last.reward,
      abstained: last.decision.kinds[last.chosen] === 'abstain' ? 1 : 0,
      steps: episode.length - 1,
    };
  });
  const returns = played.map((each) => each.return);
  return {
    tasks: played.length,
    return: mean(returns),
    returnInterval: bootstrapInterval([returns], mean),
    paid: mean(played.map(({ paid }) => paid)),
    abstained: mean(played.map(({ abstained }) => abstained)),
    steps: mean(played.map(({ steps }) => steps)),
  };
}
