/** Playing tasks: with any rule that chooses, and again from what was chosen. */
import { createRandom, randomBelow, type Random } from '../random.js';
import { type ActionKind, type Decision, type Ending, type Environment, type Episode, type Step } from './decision.js';
import type { Policy } from './policy.js';

/** Index of the action to execute. */
export type Chooser = (decision: Decision) => number;

export function isEnding(kind: ActionKind): kind is Ending {
  return kind === 'answer' || kind === 'abstain';
}

export function play(environment: Environment, seed: number, choose: Chooser): Episode {
  const task = environment.task(seed);
  const steps: Step[] = [];
  for (let decision = task.decision(); decision !== null; decision = task.decision()) {
    const endingRewards = task.endingRewards();
    const chosen = choose(decision);
    steps.push({ decision, chosen, reward: task.act(chosen), endingRewards });
  }
  return steps;
}

/** An episode in a few bytes: the same seed and actions give the same steps. */
export interface PlayedTask {
  readonly seed: number;
  readonly actions: readonly number[];
}

export function playAgain(environment: Environment, { seed, actions }: PlayedTask): Episode {
  let next = 0;
  return play(environment, seed, () => actions[next++]!);
}

/** The action that is worth most. */
export function greedy(policy: Policy): Chooser {
  return (decision) => indexOfMost(policy.values(decision));
}

/** Reads at random, each time ending with the chance `stop`; what is left to no other action ends with an answer. */
export function atRandom(random: Random, stop: number): Chooser {
  return ({ kinds }) => {
    const wanted = random() < stop ? isEnding : (kind: ActionKind) => !isEnding(kind);
    const fitting = kinds.flatMap((kind, i) => (wanted(kind) ? [i] : []));
    return fitting[randomBelow(fitting.length, random)] ?? kinds.indexOf('answer');
  };
}

/** `choose`, but any action with the chance `share`. */
export function exploring(choose: Chooser, random: Random, share: number): Chooser {
  return (decision) => (random() < share ? randomBelow(decision.kinds.length, random) : choose(decision));
}

/** Offline data where an environment has no rules of its own: reads for a while, in any order, then ends in any way. */
export function randomEpisode(environment: Environment, seed: number): Episode {
  const random = createRandom(seed);
  return play(environment, seed, atRandom(random, 0.05 + 0.45 * random()));
}

export function indexOfMost(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
