/** The decision problem in simulation: the same seed is the same task, what is legal is affordable and new, and rewards add up. */
import { describe, expect, it } from 'vitest';
import { createRandom, randomBelow } from '../../src/random.js';
import { featureNames } from '../../src/reader/features.js';
import { offlineEpisode } from '../../src/reader/simulation/behaviours.js';
import { runEpisode, Simulation } from '../../src/reader/simulation/environment.js';
import { baselines } from '../../src/reader/strategies.js';

const options = { split: 'train', corpora: 2, leaves: [160, 200], questions: 40 } as const;
const simulation = new Simulation(options);
const seeds = Array.from({ length: 80 }, (_, i) => i);

describe('simulated tasks', () => {
  it('are decided by their seed alone', () => {
    const again = new Simulation(options);
    const played = (world: Simulation): unknown =>
      seeds.slice(0, 20).map((seed) => offlineEpisode(world, seed).map(({ decision, chosen, reward, endingRewards }) => ({ chosen, reward, endingRewards, kinds: decision.kinds, state: [...decision.state], actions: [...decision.actions] })));
    const first = played(simulation);
    expect(played(again)).toEqual(first);
    expect(played(simulation)).toEqual(first);
  });

  it('offer each ending once, and only readings that are new and affordable', () => {
    const random = createRandom(5);
    for (const seed of seeds) {
      const task = simulation.task(seed);
      const episode = runEpisode(task, () => {
        const { state } = task;
        const { actions } = task.described();
        for (const ending of ['answer', 'abstain']) expect(actions.filter(({ kind }) => kind === ending)).toHaveLength(1);
        expect(new Set(actions.map((action) => JSON.stringify(action))).size).toBe(actions.length);
        for (const action of actions) {
          if (!('leaf' in action)) continue;
          expect(state.was(action.leaf, action.kind)).toBe(false);
          expect(state.cost(action.leaf, action.kind)).toBeLessThanOrEqual(state.remaining);
        }
        const reading = actions.flatMap((action, i) => ('leaf' in action || action.kind === 'requery' ? [i] : []));
        return reading.length > 0 && random() < 0.95 ? reading[randomBelow(reading.length, random)]! : 0;
      });
      expect(episode.length).toBeLessThanOrEqual(33);
      expect(task.state.spent).toBeLessThanOrEqual(task.state.terms.budget);
      expect(task.decision()).toBeNull();
      expect(() => task.perform({ kind: 'answer' })).toThrow(RangeError);
    }
  });

  it('pay for the end, and cost what was read at the task\'s price', () => {
    for (const seed of seeds) {
      const task = simulation.task(seed);
      const episode = offlineEpisode(simulation, seed);
      const { budget, lambda } = task.state.terms;
      const last = episode.at(-1)!;
      const ending = last.decision.kinds[last.chosen] as 'answer' | 'abstain';
      expect(last.reward).toBe(last.endingRewards[ending]);
      const cost = episode.slice(0, -1).reduce((sum, { reward }) => sum - reward, 0);
      expect(cost).toBeGreaterThanOrEqual(0);
      expect(cost).toBeLessThanOrEqual((lambda * budget) / 1000 + 1e-9);
      const absent = task.question.expected === null;
      for (const { endingRewards } of episode) {
        expect(endingRewards.abstain).toBe(absent ? 1 : 0);
        expect([1, -0.25]).toContain(endingRewards.answer);
        if (absent) expect(endingRewards.answer).toBe(-0.25);
      }
    }
  });

  it('are described by numbers from -1 to 1, as many as have names', () => {
    for (const seed of seeds) {
      for (const { decision } of offlineEpisode(simulation, seed)) {
        expect(decision.state).toHaveLength(featureNames.state.length);
        expect(decision.actions).toHaveLength(decision.kinds.length * featureNames.action.length);
        expect([...decision.state, ...decision.actions].filter((value) => !(Math.abs(value) <= 1))).toEqual([]);
      }
    }
  });

  it('let whoever knows the evidence find it, and pay for a second search where two steps are needed', () => {
    let hops = 0;
    let led = 0;
    for (const seed of seeds) {
      const task = simulation.task(seed, { budget: 20_000, lambda: 0.001 });
      const { question, state } = task;
      if (question.kind !== 'two-hop') continue;
      const [first, evidence] = task.evidenceLeaves();
      const rank = (): number => state.hits.findIndex(({ leaf }) => leaf === evidence);
      task.perform({ kind: 'read', leaf: first! });
      if (state.nextLead() === null) continue;
      const before = rank();
      task.perform({ kind: 'requery' });
      hops++;
      if (rank() >= 0 && (before < 0 || rank() <= before)) led++;
    }
    expect(hops).toBeGreaterThan(5);
    expect(led / hops).toBeGreaterThan(0.7);
  });

  it('are worked to an end by every baseline, within the budget', () => {
    for (const strategy of baselines(createRandom(1))) {
      for (const seed of seeds.slice(0, 6)) {
        const task = simulation.task(seed);
        const choose = strategy.begin();
        while (task.ended === null) task.perform(choose(task.state).action);
        expect(task.state.spent, strategy.name).toBeLessThanOrEqual(task.state.terms.budget);
      }
    }
  });
});

describe('corpora', () => {
  it('hold every hidden sentence in its leaf, and no answer of an absent question', () => {
    for (const seed of seeds) {
      const { question, state } = simulation.task(seed);
      for (const { leaf, sentence } of question.planted) expect(state.corpus.text(leaf)).toContain(sentence);
      expect(question.expected === null).toBe(question.kind === 'absent');
      expect(question.question).not.toMatch(/[{}]|undefined/u);
    }
  });

  it('of training and test share neither names nor phrasings', () => {
    const test = new Simulation({ ...options, split: 'test', corpora: 1 });
    const words = (world: Simulation): Set<string> => new Set(seeds.flatMap((seed) => world.task(seed).question.planted.map(({ phrasing }) => phrasing)));
    const shared = [...words(test)].filter((name) => words(simulation).has(name));
    // "visits" is how often something happened, which has one phrasing.
    expect(shared.filter((name) => name !== 'visits')).toEqual([]);
  });
});
