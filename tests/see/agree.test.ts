/** One of several readings: the one in the middle. */
import { expect, it } from 'vitest';
import { agreed } from '../../src/see/agree.js';

it.each([
  { readings: [['only']], expected: ['only'] },
  { readings: [['the sccret word', 'bridge'], ['the secret word', 'bridge'], ['the secret word', 'brdge']], expected: ['the secret word', 'bridge'] },
  // Two that agree outvote one.
  { readings: [['bottttle'], ['bottle'], ['bottle']], expected: ['bottle'] },
  { readings: [['a'], ['b'], ['c']], expected: ['a'] },
])('$readings -> $expected', ({ readings, expected }) => {
  expect(agreed(readings)).toEqual(expected);
});
