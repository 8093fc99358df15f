/** Asks a plan's questions, one document after another; what was answered before is not asked again. */
import { createHash } from 'node:crypto';
import { ExitCode, LodestoneError } from '../errors.js';
import { judge, recordKey, type Control, type TrialRecord } from './record.js';
import type { Answerer, RespondOptions, Responses } from './respond.js';
import { LOOK_UP_TO } from './runner.js';
import type { Suite, Trial } from './trial.js';

export interface PlannedSuite {
  readonly suite: Suite;
  /** null: the suite's shortest. */
  readonly lengths: readonly (number | null)[];
  /** Per length. */
  readonly questions: number;
  /** Of each control; 0: none. */
  readonly controls: number;
}

export interface TrialOptions extends RespondOptions {
  readonly seed: number;
  /** By `recordKey`. */
  readonly done?: ReadonlyMap<string, TrialRecord>;
}

/** All questions of the plan, without its controls. */
export function plannedQuestions(plan: readonly PlannedSuite[]): number {
  return plan.reduce((sum, { lengths, questions }) => sum + lengths.length * questions, 0);
}

/**
 * The records of a document's questions at a time. An error of one document is its questions' outcome, and the next one
 * is read. Throws the signal's reason, and what making the documents throws.
 */
export async function* runTrials(answerer: Answerer, plan: readonly PlannedSuite[], options: TrialOptions): AsyncGenerator<readonly TrialRecord[]> {
  for (const planned of plan) {
    for (const [i, length] of planned.lengths.entries()) {
      const tokens = length === null ? 0 : await answerer.documentTokens(length);
      const { suite, questions, controls } = planned;
      const request = { tokens, questions, seed: options.seed, stream: length ?? 0, count: answerer.count };
      let asked = 0;
      for await (const trial of suite.make(request)) {
        yield await askTrial(answerer, trial, { suite: suite.name, control: null, length, first: asked }, options);
        // The shortest length has the controls: they are about what is asked, not about how long it is.
        if (i === 0) yield* askControls(answerer, trial, { suite: suite.name, length, first: asked }, controls, options);
        asked += trial.questions.length;
      }
    }
  }
}

interface Place {
  readonly suite: string;
  readonly control: Control | null;
  readonly length: number | null;
  /** The index of the trial's first question. */
  readonly first: number;
}

/** Of a trial's needles by themselves, and of its haystack by itself, while fewer than `most` questions were asked. */
async function* askControls(
  answerer: Answerer,
  trial: Trial,
  place: Omit<Place, 'control'>,
  most: number,
  options: TrialOptions,
): AsyncGenerator<readonly TrialRecord[]> {
  const { needles } = trial;
  const questions = trial.questions.slice(0, Math.max(0, most - place.first)).filter(({ scoring }) => scoring !== 'absent');
  if (needles === undefined || questions.length === 0) return;
  const hidden = new Set(needles.map((needle) => needle.trim()));
  const without = trial.pieces.filter((piece) => !hidden.has(piece.trim()));
  // Without the rest, it has no place, and nothing behind it.
  const alone = questions.map(({ question, expected, scoring, part }) => ({ question, expected, scoring, ...(part === undefined ? {} : { part }) }));
  yield await askTrial(answerer, { pieces: [needles.join('\n')], questions: alone }, { ...place, control: 'alone' }, options);
  yield await askTrial(answerer, { pieces: without, questions }, { ...place, control: 'without' }, options);
}

async function askTrial(answerer: Answerer, trial: Trial, place: Place, options: TrialOptions): Promise<readonly TrialRecord[]> {
  const { suite, control, length, first } = place;
  const document = trial.pieces.join('');
  const document_sha256 = createHash('sha256').update(document).digest('hex');
  const known = trial.questions.map(({ question }, i) => {
    const record = options.done?.get(recordKey({ suite, control, length, index: first + i }));
    return record?.document_sha256 === document_sha256 && record.question === question && record.outcome !== 'error' ? record : null;
  });
  if (known.every((record) => record !== null)) return known;
  const started = performance.now();
  const looks = length === null || length <= LOOK_UP_TO ? options.looks : 0;
  let responses: Responses | null = null;
  let error: string | null = null;
  let error_code: ExitCode | null = null;
  try {
    responses = await answerer.respond(document, trial.questions.map(({ question }) => question), { ...options, looks });
  } catch (cause) {
    if (options.signal?.aborted) throw cause;
    error = cause instanceof Error ? cause.message : String(cause);
    error_code = cause instanceof LodestoneError ? cause.exitCode : ExitCode.internal;
  }
  const seconds = (performance.now() - started) / 1e3 / trial.questions.length;
  return trial.questions.map((question, i): TrialRecord => {
    const response = responses?.responses[i] ?? null;
    const answer = response === null ? '' : (response.twice ?? response.once);
    return {
      type: 'trial',
      suite,
      control,
      length,
      part: question.part ?? '',
      depth: question.depthPercent ?? null,
      index: first + i,
      question: question.question,
      expected: question.expected,
      answer,
      once: response === null || response.twice === null ? null : response.once,
      // Without its needle, a hit is chance, and a refusal is what a good reader says.
      ...(response === null ? { outcome: 'error' as const, score: 0 } : judge(control === 'without' ? { ...question, scoring: 'any' } : question, answer, answerer.refusesInWords)),
      error,
      error_code,
      document_sha256,
      document_tokens: responses?.documentTokens ?? 0,
      tokens_behind: question.tokensBehind ?? null,
      seconds,
    };
  });
}
