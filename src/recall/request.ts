/** What `lodestone needle` and `npm run recall` have in common about asking: the same suite, length and seed, the same trials. */
import { ExitCode, LodestoneError } from '../errors.js';
import { plainPicture } from './video.js';
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

/** Errors: those of reading a PDF or a film; LodestoneError(usage) for a film, where the answerer sees none. */
export async function inquiryOf({ pieces, pdf = false, film, head, answerTokens, questions }: Trial, { watch }: Pick<Answerer, 'watch'> = {}, signal?: AbortSignal): Promise<Inquiry> {
  const text = pieces.join('');
  if (film && !watch) throw new LodestoneError(ExitCode.usage, 'the suite video needs a model that reads pictures: name its folder with --see');
  const seen = film && (await watch!(film.seed, pieces.map((piece, second) => (piece === plainPicture ? { second } : { second, text: piece })), signal));
  return {
    document: pdf ? await throughPdf(text, signal) : text,
    ...(seen ? { sources: [seen] } : {}),
    ...(head === undefined ? {} : { head }),
    ...(answerTokens === undefined ? {} : { answerTokens }),
    questions,
  };
}
