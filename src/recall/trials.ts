/** Asks a plan's questions, one document after another; what was answered before is not asked again. */
import { createHash } from 'node:crypto';
import { ExitCode, LodestoneError } from '../errors.js';
import { chanceOf, judge, recordKey, type Control, type TrialRecord } from './record.js';
import type { Answerer, Inquiry, RespondOptions, Responses } from './respond.js';
import { inquiryOf, LOOK_UP_TO, trialRequest } from './request.js';
import { recordedAnswer, type RecordedAnswer } from './recorded.js';
import type { Hearing } from './spoken-document.js';
import type { Suite, Trial, TrialQuestion } from './trial.js';

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
  /** For suites that are spoken. */
  readonly hearing?: Hearing;
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
  for (const { suite, lengths, questions, controls } of plan) {
    for (const [i, length] of lengths.entries()) {
      const place = { suite: suite.name, length };
      const withControls: { readonly trial: Trial; readonly first: number }[] = [];
      let asked = 0;
      for await (const trial of suite.make(await trialRequest(answerer, length, questions, options.seed))) {
        yield await askTrial(answerer, trial, { ...place, control: null, first: asked }, options);
        // The shortest length has the controls: they are about what is asked, not about how long it is.
        if (i === 0 && asked < controls) withControls.push({ trial, first: asked });
        asked += trial.questions.length;
      }
      // After the trials, and by kind: haystacks without needles have the more in common.
      for (const control of ['without', 'alone'] as const) {
        for (const { trial, first } of withControls) {
          const other = controlOf(trial, control, controls - first);
          if (other !== null) yield await askTrial(answerer, other, { ...place, control, first }, options);
        }
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

/** A trial's needles by themselves, or its haystack by itself, with at most `most` of its questions; null: there is none. */
function controlOf(trial: Trial, control: Control, most: number): Trial | null {
  const { needles, pieces } = trial;
  const questions = trial.questions.slice(0, most).filter(({ scoring }) => scoring !== 'absent' && scoring !== 'unobeyed');
  if (needles === undefined || questions.length === 0) return null;
  if (control === 'alone') return { ...trial, pieces: [needles.join('\n')], questions };
  const hidden = new Set(needles.map((needle) => needle.trim()));
  return { ...trial, pieces: pieces.filter((piece) => !hidden.has(piece.trim())), questions };
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
  let inquiry: Inquiry | null = null;
  let error: string | null = null;
  let error_code: ExitCode | null = null;
  try {
    inquiry = await inquiryOf(trial, { ...options, ...answerer }, options.signal);
    responses = await answerer.respond(inquiry, { ...options, looks });
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
      // Without the rest, a needle has no place, and nothing behind it.
      depth: control === 'alone' ? null : (question.depthPercent ?? null),
      index: first + i,
      question: question.question,
      expected: question.expected,
      answer,
      once: response === null || response.twice === null ? null : response.once,
      ...(response === null ? { outcome: 'error' as const, score: 0 } : judge(question, answer, answerer.refusesInWords)),
      chance: chanceOf(question),
      error,
      error_code,
      document_sha256,
      document_tokens: responses?.documentTokens ?? 0,
      tokens_reused: responses?.tokensReused ?? 0,
      tokens_behind: control === 'alone' ? null : (question.tokensBehind ?? null),
      recorded: inquiry === null ? null : recordedOf(trial, inquiry, question, answer),
      seconds,
    };
  });
}

/** null where the document is no recording, or the needle is not in it. */
function recordedOf({ pieces, needles = [] }: Trial, { recorded }: Inquiry, question: TrialQuestion, answer: string): RecordedAnswer | null {
  const at = pieces.findIndex((piece) => needles.some((needle) => piece.trim() === needle.trim()));
  return recorded === undefined || at < 0 ? null : recordedAnswer(recorded, recorded.times[at]!, question, answer);
}
