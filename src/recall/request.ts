/** What `lodestone needle` and `npm run recall` have in common about asking: the same suite, length and seed, the same trials. */
import type { Answerer, Inquiry } from './respond.js';
import { throughPdf } from './pdf-document.js';
import { throughSpeech, type Hearing } from './spoken-document.js';
import type { Trial, TrialRequest } from './trial.js';
import { ExitCode, LodestoneError } from '../errors.js';

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

/**
 * @param hearing for what is spoken
 * Errors: those of reading a PDF, and of hearing; LodestoneError(usage) where nothing hears.
 */
export async function inquiryOf({ pieces, pdf = false, spoken = false, head, answerTokens, questions }: Trial, signal?: AbortSignal, hearing?: Hearing): Promise<Inquiry> {
  const text = pieces.join('');
  if (spoken && hearing === undefined) throw new LodestoneError(ExitCode.usage, 'a spoken document needs a speech model');
  const heard = spoken ? await throughSpeech(pieces, hearing!, signal) : undefined;
  return {
    document: heard ? heard.source.segments.map((segment) => segment.text).join('') : pdf ? await throughPdf(text, signal) : text,
    ...(heard ? { heard } : {}),
    ...(head === undefined ? {} : { head }),
    ...(answerTokens === undefined ? {} : { answerTokens }),
    questions,
  };
}
