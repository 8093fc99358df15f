/** What `lodestone needle` and `npm run recall` have in common about asking: the same suite, length and seed, the same trials. */
import type { Answerer, Inquiry } from './respond.js';
import { throughPdf } from './pdf-document.js';
import type { Trial, TrialRequest } from './trial.js';

/**
 * Longer documents are not looked at twice: finding passages in them takes longer than reading, and memory; one reading
 * is what is measured there.
 */
export const LOOK_UP_TO = 131_072;

/** @param length of the prompt and its answer, in tokens; null: the suite's shortest */
export async function trialRequest(answerer: Answerer, length: number | null, questions: number, seed: number): Promise<TrialRequest> {
  return {
    tokens: length === null ? 0 : await answerer.documentTokens(length),
    room: async (around) => (length === null ? 0 : answerer.documentTokens(length, around)),
    questions,
    seed,
    stream: length ?? 0,
    count: answerer.count,
  };
}

/** Errors: those of reading a PDF. */
export async function inquiryOf({ pieces, pdf = false, head, answerTokens, questions }: Trial, signal?: AbortSignal): Promise<Inquiry> {
  const text = pieces.join('');
  return {
    document: pdf ? await throughPdf(text, signal) : text,
    ...(head === undefined ? {} : { head }),
    ...(answerTokens === undefined ? {} : { answerTokens }),
    questions,
  };
}
