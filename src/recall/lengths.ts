/** Lists of lengths on the command line. */
import { InvalidArgumentError } from 'commander';
import { parseTokens } from '../cli/numbers.js';

/** A document must hold the needle and more, and leave room for the question and the answer. */
const LEAST_LENGTH = 256;

/** Numbers as `parseTokens` reads them, separated by commas. */
export function lengthList(text: string): number[] {
  return text.split(',').map((part) => {
    const value = parseTokens(part);
    if (value === null || value < LEAST_LENGTH) throw new InvalidArgumentError(`Numbers of tokens, at least ${LEAST_LENGTH} each, are needed: 4096,32K,1M`);
    return value;
  });
}
