/** Gemini 1.5's video needle (arXiv 2403.05530, section 5.2.1.3): a secret word over one picture of a film. */
import { pick, randomBelow } from '../random.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

/** Of a film, as many parts of the same length as Gemini's grid has; the needle is anywhere in one. */
const PARTS = 10;
/** Their middles, in %. */
const depths = Array.from({ length: PARTS }, (_, i) => (100 * (i + 0.5)) / PARTS);

/** A second of film, as it stands in a trial's pieces. */
export const plainPicture = '\n';

export function videoSuite(words: readonly string[]): Suite {
  return {
    name: 'video',
    about:
      'Gemini 1.5\'s secret word over one picture of a film, a picture a second; lengths are seconds of film, ten at least. The word is drawn anew for each question, the film is made of photographs and read as lodestone ask reads one',
    depths,
    unit: 'seconds',
    lengths: [60, 300, 600, 1800, 3600],
    questions: PARTS,
    least: PARTS,
    make: (request) => videoTrials(words, request),
  };
}

async function* videoTrials(words: readonly string[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'video');
  const seconds = request.stream ?? request.tokens;
  for (let made = 0; made < request.questions; made++) {
    const part = made % PARTS;
    const [from, to] = [Math.floor((seconds * part) / PARTS), Math.floor((seconds * (part + 1)) / PARTS)];
    const second = from + randomBelow(Math.max(1, to - from), random);
    const word = pick(words, random);
    const needle = `The secret word is "${word}"`;
    const pieces = Array.from({ length: seconds }, (_, i) => (i === second ? needle : plainPicture));
    yield {
      pieces,
      needles: [needle],
      film: { seed: request.seed },
      questions: [{ question: 'What is the secret word?', expected: [word], scoring: 'contains', guesses: words, depthPercent: depths[part]! }],
    };
  }
}
