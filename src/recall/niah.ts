/**
 * Needle in a haystack, as in Gemini 1.5 (section 5.2.1.2) and its ancestor by Arize: a sentence
 * "The special magic {city} number is: {number}" somewhere in prose, asked for at the end.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { createRandom, randomBelow, seedOf, type Random } from '../random.js';
import { fillTokens, linearDepths, placeNeedles, type Unit } from './haystack.js';
import { drawKeys, drawNumber, drawUnused } from './keys.js';
import type { Suite, TokenCounter, Trial, TrialQuestion, TrialRequest } from './trial.js';

/** Prose to hide needles in. */
export interface Prose {
  readonly units: readonly Unit[];
  /** All of it, to see that a value does not occur. */
  readonly text: string;
}

export interface Magic {
  readonly key: string;
  readonly number: string;
}

export function magicSentence({ key, number }: Magic): string {
  return `The special magic ${key} number is: ${number}`;
}

export function magicQuestion(key: string): string {
  return `What is the special magic ${key} number?`;
}

/** Different keys, cities first, with different numbers that the prose does not hold. */
export function drawMagic(cities: readonly string[], count: number, prose: Prose, random: Random): Magic[] {
  const numbers = drawUnused(count, drawNumber, random, (value) => prose.text.includes(value));
  return drawKeys(cities, count, random).map((key, i) => ({ key, number: numbers[i]! }));
}

/** What needles take, white space in front included. */
export async function countNeedles(sentences: readonly string[], count: TokenCounter): Promise<number> {
  let tokens = 0;
  for (const sentence of sentences) tokens += await count(` ${sentence}`);
  return tokens;
}

/** Another part of the prose each time, with needles at their depths: at most `tokens` in all. Errors: LodestoneError(usage). */
export async function hideInProse(
  prose: Prose,
  needles: readonly { readonly text: string; readonly depthPercent: number }[],
  tokens: number,
  random: Random,
  count: TokenCounter,
): Promise<ReturnType<typeof placeNeedles>> {
  const left = tokens - (await countNeedles(needles.map(({ text }) => text), count));
  if (left < 0) throw new LodestoneError(ExitCode.usage, `${needles.length} needles do not fit into a document of ${tokens} tokens`);
  return placeNeedles(fillTokens(prose.units, left, randomBelow(prose.units.length, random)), needles);
}

/** Depths of the published grid's finer cousin: 0, 10, ... 100 %. */
const DEPTHS = linearDepths(11);
/** To this length every question has a haystack of its own, as published; reading a longer one for each takes too long. */
export const ONE_NEEDLE_UP_TO = 65_536;

/** @param perHaystack needles in a haystack longer than `ONE_NEEDLE_UP_TO` */
export function needleSuite(prose: Prose, cities: readonly string[], perHaystack = DEPTHS.length): Suite {
  return {
    name: 'needle',
    about:
      "Gemini 1.5's magic city number in prose, 11 depths; one needle per haystack " +
      `to ${ONE_NEEDLE_UP_TO} tokens, beyond that ${perHaystack} of different cities at as many depths, asked one by one`,
    lengths: [1024, 2048, 4096, 8192, 16_384, 32_768],
    questions: 44,
    make: (request) => needleTrials(prose, cities, perHaystack, request),
  };
}

async function* needleTrials(prose: Prose, cities: readonly string[], perHaystack: number, request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = createRandom(seedOf('needle', request.seed, tokens));
  const several = tokens > ONE_NEEDLE_UP_TO;
  for (let made = 0; made < request.questions; ) {
    const count = several ? Math.min(perHaystack, request.questions - made) : 1;
    const magic = drawMagic(cities, count, prose, random);
    const depths = several ? linearDepths(count) : [DEPTHS[made % DEPTHS.length]!];
    yield magicTrial(prose, magic, depths, tokens, random, request.count);
    made += count;
  }
}

/** Each of the needles is hidden at its depth and asked for. */
async function magicTrial(prose: Prose, magic: readonly Magic[], depths: readonly number[], tokens: number, random: Random, count: TokenCounter): Promise<Trial> {
  const needles = magic.map((one, i) => ({ text: magicSentence(one), depthPercent: depths[i]! }));
  const { pieces } = await hideInProse(prose, needles, tokens, random, count);
  const questions = magic.map(
    ({ key, number }, i): TrialQuestion => ({ question: magicQuestion(key), expected: [number], scoring: 'contains', depthPercent: depths[i]! }),
  );
  return { pieces, questions };
}

/** Needles in the haystack of Gemini's multi-needle test (section 5.2.1.5). */
const HUNDRED = 100;

export function hundredSuite(prose: Prose, cities: readonly string[]): Suite {
  return {
    name: 'hundred',
    about:
      '100 magic numbers of different keys in one haystack, asked one by one (Gemini 1.5 Pro was asked for all at once, and gave about 70 % of them at 128K)',
    lengths: [131_072],
    questions: HUNDRED,
    make: (request) => hundredTrials(prose, cities, request),
  };
}

async function* hundredTrials(prose: Prose, cities: readonly string[], request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = createRandom(seedOf('hundred', request.seed, tokens));
  for (let made = 0; made < request.questions; made += HUNDRED) {
    const trial = await magicTrial(prose, drawMagic(cities, HUNDRED, prose, random), linearDepths(HUNDRED), tokens, random, request.count);
    // All are hidden, also where fewer are asked for.
    yield { ...trial, questions: trial.questions.slice(0, request.questions - made) };
  }
}
