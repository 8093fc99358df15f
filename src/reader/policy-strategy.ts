/** A trained policy as a rule for what to read next. */
import { describe } from './features.js';
import type { Policy } from './policy.js';
import { indexOfMost } from './rollout.js';
import type { Strategy } from './strategies.js';

export function policyStrategy(policy: Policy): Strategy {
  return {
    name: 'policy',
    begin: () => (state) => {
      const { decision, actions } = describe(state);
      return actions[indexOfMost(policy.values(decision))]!;
    },
  };
}
