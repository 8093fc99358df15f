/** Who decides what to read within a budget. */
import { defaultStrategy, type Strategy } from './strategies.js';

export interface NamedStrategy {
  readonly strategy: Strategy;
  /** A policy that was trained; a fixed rule otherwise. */
  readonly trained: boolean;
  /** Budgets beyond it make no difference to it. */
  readonly mostTokens: number;
}

export async function shippedStrategy(): Promise<NamedStrategy> {
  return { strategy: defaultStrategy, trained: false, mostTokens: Infinity };
}
