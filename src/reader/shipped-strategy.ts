/** Who decides what to read within a budget: the policy that ships with the package, or a fixed rule where there is none. */
import { existsSync } from 'node:fs';
import { embeddedPolicy } from '../paths.js';
import { featureNames } from './features.js';
import { mostPolicyBudget } from './reading-state.js';
import { policyStrategy } from './policy-strategy.js';
import { openPolicy } from './policy.js';
import { defaultStrategy, type Strategy } from './strategies.js';

export interface ShippedStrategy {
  readonly strategy: Strategy;
  /** A policy that was trained; a fixed rule otherwise. */
  readonly trained: boolean;
  /** Larger budgets make no difference to it. */
  readonly mostTokens: number;
}

/** Errors: LodestoneError(badModel) where the policy's file is damaged. */
export async function shippedStrategy(path = embeddedPolicy): Promise<ShippedStrategy> {
  const policy = existsSync(path) ? await openPolicy(path) : null;
  const { stateFeatures, actionFeatures } = policy?.description.network ?? {};
  // A policy of other features than ours would be asked nonsense.
  if (policy === null || stateFeatures !== featureNames.state.length || actionFeatures !== featureNames.action.length) return { strategy: defaultStrategy, trained: false, mostTokens: Infinity };
  return { strategy: policyStrategy(policy), trained: true, mostTokens: mostPolicyBudget };
}
