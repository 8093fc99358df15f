/** Lengths of documents: as the command line gives them, and those that a suite is asked at. */
import { InvalidArgumentError } from 'commander';
import { parseTokens } from '../cli/numbers.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { count } from '../ui/format.js';
import { LEAST_TOKENS, type Suite } from './trial.js';

/** Numbers as `parseTokens` reads them, separated by commas. */
export function lengthList(text: string): number[] {
  return text.split(',').map((part) => {
    const value = parseTokens(part);
    if (value === null || value < 1) throw new InvalidArgumentError('Numbers separated by commas are needed: 4096,32K,1M');
    return value;
  });
}

type Sized = Pick<Suite, 'name' | 'unit' | 'least'>;

function unitOf({ unit }: Sized): 'tokens' | 'seconds' {
  return unit ?? 'tokens';
}

function leastOf(suite: Sized): number {
  return suite.least ?? (unitOf(suite) === 'tokens' ? LEAST_TOKENS : 1);
}

/**
 * Of suites that are asked together, those that `--lengths` is about: lengths are tokens, and seconds only where every
 * suite counts those.
 */
export function countedAlike<S extends Sized>(suites: readonly S[]): readonly S[] {
  const inTokens = suites.filter((suite) => unitOf(suite) === 'tokens');
  return inTokens.length > 0 ? inTokens : suites;
}

/**
 * Of suites that count alike.
 * @param context what the model holds, in tokens
 * Errors: LodestoneError(usage), (contextExceeded).
 */
export function checkLengths(suites: readonly Sized[], lengths: readonly number[], { id, context }: { readonly id: string; readonly context: number }): void {
  for (const suite of suites) {
    const unit = unitOf(suite);
    const tooShort = lengths.find((length) => length < leastOf(suite));
    if (tooShort !== undefined) throw new LodestoneError(ExitCode.usage, `--lengths has ${count(tooShort)}, but the suite ${suite.name} needs at least ${count(leastOf(suite))} ${unit}`);
    const tooLong = unit === 'tokens' ? lengths.find((length) => length > context) : undefined;
    if (tooLong !== undefined) throw new LodestoneError(ExitCode.contextExceeded, `--lengths has ${tooLong} tokens, but ${id} holds ${context}`);
  }
}

/** Of a suite's usual lengths, those that it has room in and the model holds. What a film says is short, however long it is. */
export function fittingLengths(suite: Sized, usual: readonly number[], context: number): number[] {
  return usual.filter((length) => unitOf(suite) === 'seconds' || (length >= leastOf(suite) && length <= context));
}
