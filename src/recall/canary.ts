/** How far back a model reads a document of the user's own: needles in it, as it is, asked for at its end. */
import { drawDistinct, type Random } from '../random.js';
import { linearDepths, placeNeedles } from './haystack.js';
import { drawNumber, drawUnused, drawWordKeys } from './keys.js';
import { countNeedles, magicQuestion, magicSentence, type Magic, type Prose } from './niah.js';
import { trialRandom, type Suite, type TokenCounter, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

/** Keys (cities first, then pairs of words) and numbers of which the document holds none. */
export function drawCanaries(cities: readonly string[], count: number, text: string, random: Random): Magic[] {
  const folded = text.toLowerCase();
  const unused = cities.filter((city) => !folded.includes(city.toLowerCase()));
  const fromCities = drawDistinct(unused, Math.min(count, unused.length), random);
  const words = drawUnused(count - fromCities.length, (draw) => drawWordKeys(1, draw)[0]!, random, (key) => folded.includes(key));
  const numbers = drawUnused(count, drawNumber, random, (value) => text.includes(value));
  return [...fromCities, ...words].map((key, i) => ({ key, number: numbers[i]! }));
}

/** The document and all its canaries, in tokens, by their sum: what stands in its place may take a little more. */
export async function canaryTokens(prose: Prose, cities: readonly string[], depths: readonly number[], count: TokenCounter): Promise<number> {
  const sentences = cities.slice(0, 1).map((key) => magicSentence({ key, number: '1000000' }));
  const one = await countNeedles(sentences, count);
  return prose.units.reduce((sum, { tokens }) => sum + tokens, 0) + one * depths.length;
}

export function canarySuite(prose: Prose, cities: readonly string[], depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'canary',
    about: `the given documents, whole and in their order, with ${depths.length} magic numbers of keys that do not occur in them between their sentences; all are asked for, one by one, at the end`,
    depths,
    lengths: [],
    shortest: 'whole',
    questions: depths.length,
    together: () => depths.length,
    make: (request) => canaryTrials(prose, cities, depths, request),
  };
}

async function* canaryTrials(prose: Prose, cities: readonly string[], depths: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'canary');
  for (let made = 0; made < request.questions; made += depths.length) {
    const canaries = drawCanaries(cities, depths.length, prose.text, random);
    const needles = canaries.map((one, i) => ({ text: magicSentence(one), depthPercent: depths[i]! }));
    const { pieces } = placeNeedles(prose.units, needles);
    const behind = await tokensBehind(pieces, needles.map(({ text }) => text), request.count);
    const guesses = canaries.map(({ number }) => number);
    const questions = canaries.map(
      ({ key, number }, i): TrialQuestion => ({
        question: magicQuestion(key),
        expected: [number],
        scoring: 'contains',
        depthPercent: depths[i]!,
        tokensBehind: behind[i]!,
        guesses,
      }),
    );
    yield { pieces, needles: needles.map(({ text }) => text), questions: questions.slice(0, request.questions - made) };
  }
}

/** Tokens of the pieces after each needle, other needles included. */
async function tokensBehind(pieces: readonly string[], needles: readonly string[], count: TokenCounter): Promise<number[]> {
  const behind = new Map<string, number>();
  let tokens = 0;
  for (const piece of pieces.toReversed()) {
    const body = piece.trim();
    behind.set(body, tokens);
    if (body !== '') tokens += await count(` ${body}`);
  }
  return needles.map((needle) => behind.get(needle)!);
}
