/** Numbers as options give them. */
import { InvalidArgumentError } from 'commander';

/** 4096, 32K, 1M: K is 1,024, M is 1,024 K. null where it is no such number. */
export function parseTokens(text: string): number | null {
  const match = /^(\d+)([KM]?)$/iu.exec(text.trim());
  if (match === null) return null;
  const value = Number(match[1]) * { '': 1, K: 1024, M: 1024 ** 2 }[match[2]!.toUpperCase()]!;
  return Number.isSafeInteger(value) ? value : null;
}

/** 1000000, 500M, 10G: K is 1,024 bytes, and so on. null where it is no such size. */
export function parseBytes(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/iu.exec(text.trim());
  if (match === null) return null;
  const value = Math.round(Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2]!.toUpperCase() || ' '));
  return Number.isSafeInteger(value) ? value : null;
}

/** For an option that takes a number of tokens. */
export function tokens(most: number): (text: string) => number {
  return (text) => {
    const value = parseTokens(text);
    if (value === null || value < 1 || value > most) throw new InvalidArgumentError(`a number of tokens from 1 to ${most}, such as 4096, 32K or 1M, is needed`);
    return value;
  };
}

/** For an option that takes a whole number. */
export function integer(least: number) {
  return (text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least) throw new InvalidArgumentError(`a whole number, at least ${least}, is needed`);
    return value;
  };
}

/** For an option that takes a number of a range. */
export function between(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= least && value <= most)) throw new InvalidArgumentError(`a number from ${least} to ${most} is needed`);
    return value;
  };
}
