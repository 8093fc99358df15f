/** Who makes the episodes that a policy learns from before it acts itself: good and bad rules, so that both can be told apart. */
import { createRandom, randomBelow, seedOf, type Random } from '../../random.js';
import type { Episode } from '../decision.js';
import type { Action, ReadingState } from '../reading-state.js';
import { anyAction, endByRule, threshold, topK, type Strategy } from '../strategies.js';
import { runEpisode, type Simulation, type SimulatedTask } from './environment.js';

/** Ends early, as a random choice among fifty actions hardly ever would. */
const END_CHANCE = 0.1;

/** The next action of one episode. */
type Chooser = (state: ReadingState) => Action;

function byRule(strategy: Strategy): Chooser {
  const choose = strategy.begin();
  return (state) => choose(state).action;
}

function atRandom(random: Random): Chooser {
  const any = byRule(anyAction(random));
  return (state) => (random() < END_CHANCE ? { kind: random() < 0.5 ? 'answer' : 'abstain' } : any(state));
}

/** Knows where the evidence is, and in `noise` of its steps does anything. */
function clairvoyant(task: SimulatedTask, noise: number, random: Random): Chooser {
  const any = atRandom(random);
  const looks = 1 + randomBelow(4, random);
  return (state) => {
    if (random() < noise) return any(state);
    if (task.rightNow()) return { kind: 'answer' };
    const actions = state.actions();
    const level = task.question.kind === 'split' ? 'inspect' : random() < 0.5 ? 'skim' : 'read';
    const next = task.evidenceLeaves().find((leaf) => !state.was(leaf, 'skim') && !state.was(leaf, 'read') && !state.was(leaf, 'inspect'));
    const reading = actions.find((action) => 'leaf' in action && action.leaf === next && action.kind === level);
    if (reading) return reading;
    const requery = actions.find(({ kind }) => kind === 'requery');
    if (task.question.kind === 'two-hop' && requery) return requery;
    // Where nothing is to be found, a few looks show that.
    const first = state.candidates().find(({ skimmed }) => skimmed === null);
    const look = task.question.expected === null && state.step < looks && first ? actions.find((action) => action.kind === 'skim' && action.leaf === first.leaf) : undefined;
    return look ?? (task.question.expected === null ? { kind: 'abstain' } : endByRule(state));
  };
}

/** The likeliest leaf, skimmed, then read, until something is found or `most` steps are gone. */
function greedy(least: number, most: number): Chooser {
  return (state) => {
    const [first] = state.candidates();
    if (state.best().worth >= least || state.step >= most || !first) return endByRule(state);
    const level = first.skimmed === null ? 'skim' : 'read';
    return state.cost(first.leaf, level) <= state.remaining ? { kind: level, leaf: first.leaf } : endByRule(state);
  };
}

function drawChooser(task: SimulatedTask, random: Random): Chooser {
  const kind = random();
  if (kind < 0.25) return atRandom(random);
  if (kind < 0.5) return byRule(topK(1 + randomBelow(16, random), random() < 0.5 ? 'read' : 'skim'));
  if (kind < 0.7) return byRule(threshold(0.02 * 50 ** random(), random() < 0.5 ? 'read' : 'skim'));
  if (kind < 0.9) return clairvoyant(task, 0.3, random);
  return greedy(0.05 + 0.5 * random(), 2 + randomBelow(16, random));
}

function indexOf(state: ReadingState, actions: readonly Action[], wanted: Action): number {
  const index = actions.findIndex((action) => action.kind === wanted.kind && ('leaf' in action ? 'leaf' in wanted && action.leaf === wanted.leaf : true));
  if (index >= 0) return index;
  // A rule's leaf may no longer be among the candidates, or the steps are used up.
  const { kind } = endByRule(state);
  return actions.findIndex((action) => action.kind === kind);
}

/** The episode of a seed, by a behaviour that the seed decides too. */
export function offlineEpisode(simulation: Simulation, seed: number): Episode {
  const task = simulation.task(seed);
  const choose = drawChooser(task, createRandom(seedOf('behaviour', seed)));
  return runEpisode(task, ({ state }) => indexOf(state, task.described().actions, choose(state)));
}
