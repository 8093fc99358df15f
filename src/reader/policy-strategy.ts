/** A trained policy as a rule for what to read next. */
import type { Decision } from './decision.js';
import { describe } from './features.js';
import { indexOfMost, isEnding } from './rollout.js';
import type { Policy } from './policy.js';
import type { Strategy } from './strategies.js';

/** The best reading's value less the best ending's; 0 where nothing can be read. */
function gainOf({ kinds }: Decision, values: ArrayLike<number>): number {
  let ending = -Infinity;
  let reading = -Infinity;
  for (const [i, kind] of kinds.entries()) {
    if (isEnding(kind)) ending = Math.max(ending, values[i]!);
    else reading = Math.max(reading, values[i]!);
  }
  return reading === -Infinity ? 0 : reading - ending;
}

export function policyStrategy(policy: Pick<Policy, 'values'>): Strategy {
  return {
    name: 'policy',
    begin: () => (state) => {
      const { decision, actions } = describe(state);
      const values = policy.values(decision);
      return { action: actions[indexOfMost(values)]!, gain: gainOf(decision, values) };
    },
  };
}
