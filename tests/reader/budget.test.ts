import { expect, it } from 'vitest';
import { parseBudget } from '../../src/reader/budget.js';

it('reads budgets in tokens and in time', () => {
  expect(parseBudget('8000')).toEqual({ tokens: 8000 });
  expect(parseBudget(' 8k ')).toEqual({ tokens: 8192 });
  expect(parseBudget('1.5K')).toEqual({ tokens: 1536 });
  expect(parseBudget('10M')).toEqual({ tokens: 10 * 1024 ** 2 });
  expect(parseBudget('20s')).toEqual({ seconds: 20 });
  expect(parseBudget('0.5S')).toEqual({ seconds: 0.5 });
  expect(parseBudget('2min')).toEqual({ seconds: 120 });
});

it('refuses everything else', () => {
  for (const text of ['0', '-5', '', ' ', 'abc', '1e9', '0.5', '8kb', '8 k', '0s', '-1s', '.5s', 'NaN', 'Infinity', '0x10', '99999999999999999', '999999999999999', '9999999999999min', '1,000', '8k\n9k']) {
    expect(parseBudget(text), text).toBeNull();
  }
});
