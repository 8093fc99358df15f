/** What a plan takes: how much is read, said before it starts, and how long it goes on, foretold while it runs. */
import { count, duration } from '../ui/format.js';
import type { TrialRecord } from './record.js';
import type { PlannedSuite } from './trials.js';

type Sized = Pick<PlannedSuite, 'suite' | 'lengths' | 'questions'>;

/** Of as many questions at a length: the documents, their lengths added up. */
function lengthOf({ suite }: Sized, length: number, questions: number): number {
  return Math.ceil(questions / (suite.together?.(length) ?? 1)) * length;
}

function lengthOfAll(suites: readonly Sized[], unit: 'tokens' | 'seconds'): number {
  const counted = suites.filter(({ suite }) => (suite.unit ?? 'tokens') === unit);
  return counted.reduce((sum, planned) => planned.lengths.reduce<number>((part, length) => part + lengthOf(planned, length ?? 0, planned.questions), sum), 0);
}

/** For people; null where the lengths are those of the user's own documents. Controls are a few more. */
export function costLine(suites: readonly Sized[]): string | null {
  const [tokens, seconds] = [lengthOfAll(suites, 'tokens'), lengthOfAll(suites, 'seconds')];
  const parts = [
    ...(tokens > 0 ? [`documents of ${count(tokens)} tokens in all (what they begin alike with is read once)`] : []),
    ...(seconds > 0 ? [`films of ${duration(seconds)} in all`] : []),
  ];
  const questions = suites.reduce((sum, { lengths, questions: each }) => sum + lengths.length * each, 0);
  return parts.length === 0 ? null : `${count(questions)} questions about ${parts.join(' and ')}`;
}

/** Trials that say how fast a suite is: those of the longest length asked so far, where starting is the least of it. */
interface Pace {
  readonly length: number;
  readonly seconds: number;
}

function paceOf(planned: Sized, asked: readonly TrialRecord[]): Pace | null {
  const longest = Math.max(...asked.map(({ length }) => length ?? 0));
  if (longest <= 0) return null;
  const there = asked.filter(({ length }) => length === longest);
  return { length: lengthOf(planned, longest, there.length), seconds: there.reduce((sum, { seconds }) => sum + seconds, 0) };
}

/**
 * Seconds until the last question is answered, controls aside, as fast as it went so far; null before anything is known.
 * A suite that has not begun is taken to be as fast as the others that count in its unit; where none has begun, it is left out.
 */
export function secondsLeft(suites: readonly Sized[], records: readonly TrialRecord[]): number | null {
  const progress = suites.map((planned) => {
    const asked = records.filter(({ suite, control }) => suite === planned.suite.name && control === null);
    const left = planned.lengths.reduce<number>((sum, length) => sum + lengthOf(planned, length ?? 0, planned.questions - asked.filter((one) => one.length === length).length), 0);
    return { unit: planned.suite.unit ?? 'tokens', left, pace: paceOf(planned, asked) };
  });
  const known = (unit: string): Pace[] => progress.flatMap((one) => (one.unit === unit && one.pace !== null ? [one.pace] : []));
  let seconds: number | null = null;
  for (const { unit, left, pace } of progress) {
    const paces = pace === null ? known(unit) : [pace];
    const length = paces.reduce((sum, one) => sum + one.length, 0);
    if (length > 0) seconds = (seconds ?? 0) + (left * paces.reduce((sum, one) => sum + one.seconds, 0)) / length;
  }
  return seconds;
}
