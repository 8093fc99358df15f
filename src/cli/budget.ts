/** Budgets as options give them. */
import { InvalidArgumentError } from 'commander';
import type { Budget } from '../answer/answer.js';
import { parseBudget } from '../reader/budget.js';

export function budget(text: string): Budget {
  const value = parseBudget(text);
  if (value === null) throw new InvalidArgumentError('a number of tokens such as 8000, 8k or 1M, or a time such as 20s or 2min, is needed');
  return value;
}
