/**
 * Needle in a haystack, as in Gemini 1.5 (section 5.2.1.2) and its ancestor by Arize: a sentence
 * "The special magic {city} number is: {number}" somewhere in prose, asked for at the end.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { randomBelow, type Random } from '../random.js';
import { fillTokens, linearDepths, placeNeedles, type Unit } from './haystack.js';
import { drawKeys, drawNumber, drawUnused } from './keys.js';
import { trialRandom, type Suite, type TokenCounter, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

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

/** To this length every question has a haystack of its own, as published; reading a longer one for each takes too long. */
export const ONE_NEEDLE_UP_TO = 65_536;

/**
 * @param perHaystack needles in a haystack longer than `ONE_NEEDLE_UP_TO` (default: one at each depth)
 * @param depths default: the published grid's finer cousin, 0, 10, ... 100 %
 */
export function needleSuite(prose: Prose, cities: readonly string[], perHaystack?: number, depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'needle',
    about:
      `Gemini 1.5's magic city number in prose, ${depths.length} depths; one needle per haystack ` +
      `to ${ONE_NEEDLE_UP_TO} tokens, beyond that ${perHaystack ?? depths.length} of different cities at as many depths, asked one by one`,
    ...(perHaystack === undefined ? { depths } : {}),
    lengths: [1024, 2048, 4096, 8192, 16_384, 32_768],
    questions: 44,
    make: (request) => needleTrials(prose, cities, perHaystack ?? depths.length, depths, request),
  };
}

async function* needleTrials(prose: Prose, cities: readonly string[], perHaystack: number, grid: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'needle');
  const several = tokens > ONE_NEEDLE_UP_TO;
  for (let made = 0; made < request.questions; ) {
    const count = several ? Math.min(perHaystack, request.questions - made) : 1;
    const magic = drawMagic(cities, count, prose, random);
    const depths = several ? (count === grid.length ? grid : linearDepths(count)) : [grid[made % grid.length]!];
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
  return { pieces, needles: needles.map(({ text }) => text), questions };
}

/** Needles in the haystack of Gemini's multi-needle test (section 5.2.1.5). */
const HUNDRED = 100;

/** @param needles hidden at once, at as many depths */
export function hundredSuite(prose: Prose, cities: readonly string[], needles = HUNDRED): Suite {
  return {
    name: 'hundred',
    depths: linearDepths(needles),
    about:
      `${needles} magic numbers of different keys in one haystack, asked one by one (Gemini 1.5 Pro was asked for 100 at once, and gave about 70 % of them at 128K)`,
    lengths: [131_072],
    questions: needles,
    make: (request) => hundredTrials(prose, cities, needles, request),
  };
}

async function* hundredTrials(prose: Prose, cities: readonly string[], needles: number, request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'hundred');
  for (let made = 0; made < request.questions; made += needles) {
    const trial = await magicTrial(prose, drawMagic(cities, needles, prose, random), linearDepths(needles), tokens, random, request.count);
    // All are hidden, also where fewer are asked for.
    yield { ...trial, questions: trial.questions.slice(0, request.questions - made) };
  }
}
