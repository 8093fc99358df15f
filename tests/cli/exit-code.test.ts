import { expect, it } from 'vitest';
import { answerExitCode } from '../../src/cli/ask.js';

const none = {};
const strict = { strict: true };
const cited = { requireCitations: true };
const both = { ...strict, ...cited };

it.each([
  // found, verified of each citation, options, exit code
  [true, [true], none, 0],
  [true, [true], both, 0],
  [true, [false, true], cited, 0],
  [true, [false], none, 0],
  [true, [false], strict, 0],
  [true, [false], cited, 9],
  [true, [], strict, 0],
  [true, [], both, 9],
  [false, [], none, 0],
  [false, [], strict, 8],
  [false, [], cited, 8],
  [false, [], both, 8],
] as const)('found %j with citations verified %j under %j exits with %i', (found, verified, options, code) => {
  const citations = verified.map((one) => ({ source: 'a', quote: 'b', verified: one }));
  expect(answerExitCode({ found, citations }, options)).toBe(code);
});
