/** Lists of lengths on the command line. */
import { InvalidArgumentError } from 'commander';

/** A document must hold the needle and more, and leave room for the question and the answer. */
const LEAST_LENGTH = 256;

/** 4096, 32K, 1M: K is 1,024, M is 1,024 K. */
export function lengthList(text: string): number[] {
  return text.split(',').map((part) => {
    const match = /^(\d+)([KM]?)$/iu.exec(part.trim());
    const unit = match === null ? 0 : { '': 1, K: 1024, M: 1024 * 1024 }[match[2]!.toUpperCase()]!;
    const value = match === null ? 0 : Number(match[1]) * unit;
    if (!Number.isSafeInteger(value) || value < LEAST_LENGTH) throw new InvalidArgumentError(`Numbers of tokens, at least ${LEAST_LENGTH} each, are needed: 4096,32K,1M`);
    return value;
  });
}
