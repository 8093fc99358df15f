/** What `lodestone needle` and `npm run recall` have in common about asking: the same suite, length and seed, the same trials. */
import { ExitCode, LodestoneError } from '../errors.js';
import { plainPicture } from './video.js';
import type { Answerer, Inquiry } from './respond.js';
import { throughPdf } from './pdf-document.js';
import type { RecordedDocument } from './recorded.js';
import { throughSpeech, type Hearing } from './spoken-document.js';
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

/** Instead of a recording's text where it has none: of nothing, nothing can be asked. */
const NOTHING = '(nothing)\n';

/** What makes documents of sounds and pictures. */
export interface Senses extends Pick<Answerer, 'watch'> {
  readonly hearing?: Hearing;
}

/** Errors: those of reading a PDF or a film, and of hearing; LodestoneError(usage) where nothing hears or sees. */
export async function inquiryOf(trial: Trial, senses: Senses = {}, signal?: AbortSignal): Promise<Inquiry> {
  const { pieces, pdf = false, head, answerTokens, questions } = trial;
  const text = pieces.join('');
  const recorded = await record(trial, senses, signal);
  return {
    document: recorded ? recorded.source.segments.map((segment) => segment.text).join('') || NOTHING : pdf ? await throughPdf(text, signal) : text,
    ...(recorded ? { recorded } : {}),
    ...(head === undefined ? {} : { head }),
    ...(answerTokens === undefined ? {} : { answerTokens }),
    questions,
  };
}

async function record({ pieces, spoken = false, film }: Trial, { hearing, watch }: Senses, signal?: AbortSignal): Promise<RecordedDocument | null> {
  if (spoken) {
    if (!hearing) throw new LodestoneError(ExitCode.usage, 'a spoken document needs a speech model: name its folder with --speech');
    return throughSpeech(pieces, hearing, signal);
  }
  if (film) {
    if (!watch) throw new LodestoneError(ExitCode.usage, 'the suite video needs a model that reads pictures: name its folder with --see');
    const pictures = pieces.map((piece, second) => (piece === plainPicture ? { second } : { second, text: piece }));
    return { source: await watch(film.seed, pictures, signal), times: pieces.map((_, second) => [second, second + 1]) };
  }
  return null;
}
