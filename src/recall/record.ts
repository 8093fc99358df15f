/** What became of one question: a line of the log, and what every figure and report is made from. */
import { isRefusal, scoreAnswer } from './scoring.js';
import type { RecordedAnswer } from './recorded.js';
import type { TrialQuestion } from './trial.js';

/**
 * - `hit`: right; where the document does not say, "not found" is right.
 * - `refusal`: "not found", though it is there.
 * - `miss`: another answer.
 * - `error`: no answer at all. It says nothing of recall, and is kept out of it.
 */
export type Outcome = 'hit' | 'miss' | 'refusal' | 'error';

/** `alone`: the needles without a haystack; `without`: the haystack without its needles. */
export type Control = 'alone' | 'without';

export interface TrialRecord {
  readonly type: 'trial';
  readonly suite: string;
  readonly control: Control | null;
  /** Of the prompt and its answer, in tokens; null: the suite's own. */
  readonly length: number | null;
  /** '' where the suite has no parts. */
  readonly part: string;
  /** In % of the document's tokens; null where the suite places nothing. */
  readonly depth: number | null;
  /** Among the questions of this suite, control and length. */
  readonly index: number;
  readonly question: string;
  readonly expected: readonly string[];
  readonly answer: string;
  /** By the one reading of everything, where passages were read again after it. */
  readonly once: string | null;
  readonly outcome: Outcome;
  /** 0..1: by the suite's rule, which may give a part for a part. */
  readonly score: number;
  /** What guessing scores here, in the mean (`TrialQuestion.guesses`). */
  readonly chance: number;
  readonly error: string | null;
  /** What the program would have ended with (errors.ts). */
  readonly error_code: number | null;
  readonly document_sha256: string;
  readonly document_tokens: number;
  /** Of them, those whose keys and values were there from the document before. */
  readonly tokens_reused: number;
  readonly tokens_behind: number | null;
  /** null: the document was no recording, or the needle is not in it. */
  readonly recorded: RecordedAnswer | null;
  /** Its share of the time that its document took. */
  readonly seconds: number;
}

/** The same for the same question of two runs. */
export function recordKey({ suite, control, length, index }: Pick<TrialRecord, 'suite' | 'control' | 'length' | 'index'>): string {
  return JSON.stringify([suite, control, length, index]);
}

/** @param inWords whether the model may refuse in words of its own; one that copies from the document can not. */
export function judge(question: Pick<TrialQuestion, 'scoring' | 'expected' | 'labels' | 'forbidden'>, answer: string, inWords = false): Pick<TrialRecord, 'outcome' | 'score'> {
  const { scoring, expected } = question;
  const refused = answer === '' || (inWords && isRefusal(answer));
  if (scoring === 'absent') return refused ? { outcome: 'hit', score: 1 } : { outcome: 'miss', score: 0 };
  const { hit, score } = scoreAnswer(scoring, answer, expected, question);
  // "Not mentioned" holds the letters of "no", and is no answer.
  const byChance = refused && scoring === 'part' && expected.every((one) => one === 'no');
  if (byChance) return { outcome: 'refusal', score: 0 };
  if (hit) return { outcome: 'hit', score };
  return { outcome: refused ? 'refusal' : 'miss', score };
}

/** The mean score of the question's guesses. */
export function chanceOf(question: TrialQuestion): number {
  const { guesses = [], scoring, expected } = question;
  if (guesses.length === 0) return 0;
  return guesses.reduce((sum, guess) => sum + scoreAnswer(scoring, guess, expected, question).score, 0) / guesses.length;
}
