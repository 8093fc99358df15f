/** What `lodestone needle` and `npm run recall` have in common about asking: the same suite, length and seed, the same trials. */
import { ExitCode, LodestoneError } from '../errors.js';
import type { Answerer, Inquiry } from './respond.js';
import { throughPdf } from './pdf-document.js';
import type { Watch } from './film.js';
import { throughSpeech, type Hearing } from './spoken-document.js';
import { plainPicture } from './video.js';
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

/** Who turns recordings into text. */
export interface Senses {
  /** For what is spoken. */
  readonly hearing?: Hearing;
  /** For films. */
  readonly watch?: Watch;
}

/** Errors: those of reading a PDF, of hearing and of watching; LodestoneError(usage) where nothing hears or sees. */
export async function inquiryOf({ pieces, pdf = false, spoken = false, film, head, answerTokens, questions }: Trial, signal?: AbortSignal, { hearing, watch }: Senses = {}): Promise<Inquiry> {
  const text = pieces.join('');
  if (spoken && hearing === undefined) throw new LodestoneError(ExitCode.usage, 'a spoken document needs a speech model');
  if (film && !watch) throw new LodestoneError(ExitCode.usage, 'the suite video needs a model that reads pictures: name its folder with --see');
  const seen = film && { source: await watch!(film.seed, pieces.map((piece, second) => (piece === plainPicture ? { second } : { second, text: piece })), signal), said: pieces.map((_, i) => [i, i + 1] as const) };
  const heard = spoken ? await throughSpeech(pieces, hearing!, signal) : seen;
  return {
    document: heard ? heard.source.segments.map((segment) => segment.text).join('') : pdf ? await throughPdf(text, signal) : text,
    ...(heard ? { heard } : {}),
    ...(head === undefined ? {} : { head }),
    ...(answerTokens === undefined ? {} : { answerTokens }),
    questions,
  };
}
