/**
 * Needle in a haystack, as in Gemini 1.5 (section 5.2.1.2) and its ancestor by Arize: a sentence
 * "The special magic {city} number is: {number}" somewhere in prose, asked for at the end.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { randomBelow, type Random } from '../random.js';
import { fillTokens, linearDepths, placeNeedles, type Unit } from './haystack.js';
import { drawKeys, drawNumber, drawUnused } from './keys.js';
import { pdfShare } from './pdf-document.js';
import { LEAST_TOKENS, trialRandom, type PublishedPrompt, type Suite, type TokenCounter, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

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

/** Gemini 1.5's prompt (section 12.16.6): its last line keeps models from refusing. */
export const CONTEXT_HEAD = '<context>\n';

export function geminiPrompt(question: string): PublishedPrompt {
  return { tail: `\n</context>\n\n${question} Don't give information outside the document or repeat your findings\n\nHere is the magic number from the context:`, prefix: '' };
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

/** Where in the prose a haystack may begin. */
export function drawStart({ units }: Prose, random: Random): number {
  return randomBelow(units.length, random);
}

/**
 * Prose from the unit `start` on, with needles at their depths: at most `tokens` in all. Haystacks of one start are the same
 * up to the first needle. Errors: LodestoneError(usage).
 */
export async function hideInProse(
  prose: Prose,
  needles: readonly { readonly text: string; readonly depthPercent: number }[],
  tokens: number,
  start: number,
  count: TokenCounter,
): Promise<ReturnType<typeof placeNeedles>> {
  const left = tokens - (await countNeedles(needles.map(({ text }) => text), count));
  if (left < 0) throw new LodestoneError(ExitCode.usage, `${needles.length} needles do not fit into a document of ${tokens} tokens`);
  return placeNeedles(fillTokens(prose.units, left, start), needles);
}

/** To this length every question has a haystack of its own, as published; reading a longer one for each takes too long. */
export const ONE_NEEDLE_UP_TO = 65_536;

/**
 * @param perHaystack needles in a haystack longer than `ONE_NEEDLE_UP_TO` (default: one at each depth)
 * @param depths default: the published grid's finer cousin, 0, 10, ... 100 %
 */
export function geminiSuite(prose: Prose, cities: readonly string[], perHaystack?: number, depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'gemini',
    about:
      `Gemini 1.5's magic city number in prose, ${depths.length} depths; one needle per haystack ` +
      `to ${ONE_NEEDLE_UP_TO} tokens, beyond that ${perHaystack ?? depths.length} of different cities at as many depths, asked one by one`,
    ...(perHaystack === undefined ? { depths } : {}),
    lengths: [1024, 2048, 4096, 8192, 16_384, 32_768],
    questions: 44,
    together: (length) => (length !== null && length > ONE_NEEDLE_UP_TO ? (perHaystack ?? depths.length) : 1),
    make: (request) => geminiTrials(prose, cities, perHaystack ?? depths.length, depths, request),
  };
}

/** From the deepest needle up: each haystack is the one before up to its own needle, so that it need not be read anew. */
export function fromTheDeepest(depths: readonly number[], questions: number): number[] {
  return depths.slice(0, questions).toReversed();
}

async function* geminiTrials(prose: Prose, cities: readonly string[], perHaystack: number, grid: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'gemini');
  const tokens = await request.room({ words: CONTEXT_HEAD + geminiPrompt(magicQuestion('Ho Chi Minh City')).tail });
  const several = request.tokens > ONE_NEEDLE_UP_TO;
  for (let made = 0; made < request.questions; ) {
    const start = drawStart(prose, random);
    const left = request.questions - made;
    const depths = several ? (perHaystack <= left && perHaystack !== grid.length ? linearDepths(perHaystack) : grid.slice(0, left)) : fromTheDeepest(grid, left);
    const magic = drawMagic(cities, depths.length, prose, random);
    if (several) yield magicTrial(prose, magic, depths, tokens, start, request.count);
    else for (const [i, depth] of depths.entries()) yield magicTrial(prose, [magic[i]!], [depth], tokens, start, request.count);
    made += depths.length;
  }
}

/** Each of the needles is hidden at its depth and asked for. */
async function magicTrial(prose: Prose, magic: readonly Magic[], depths: readonly number[], tokens: number, start: number, count: TokenCounter): Promise<Trial> {
  const needles = magic.map((one, i) => ({ text: magicSentence(one), depthPercent: depths[i]! }));
  const { pieces } = await hideInProse(prose, needles, tokens, start, count);
  const guesses = magic.length === 1 ? {} : { guesses: magic.map(({ number }) => number) };
  const questions = magic.map(({ key, number }, i): TrialQuestion => {
    const question = magicQuestion(key);
    return { question, expected: [number], scoring: 'contains', depthPercent: depths[i]!, published: geminiPrompt(question), ...guesses };
  });
  return { pieces, head: CONTEXT_HEAD, needles: needles.map(({ text }) => text), questions };
}

/** The same needle, in a document that is read from a PDF: set in lines and pages, and found there by the PDF reader. */
export function pdfSuite(prose: Prose, cities: readonly string[], depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'pdf',
    about: `Gemini 1.5's magic city number, ${depths.length} depths, in a PDF that is made for each question and read as any other; asked as lodestone ask does`,
    depths,
    lengths: [1024, 4096, 16_384],
    questions: 11,
    make: (request) => pdfTrials(prose, cities, depths, request),
  };
}

async function* pdfTrials(prose: Prose, cities: readonly string[], grid: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'pdf');
  const share = await pdfShare(prose, request.count);
  for (let made = 0; made < request.questions; made += grid.length) {
    const start = drawStart(prose, random);
    for (const depth of fromTheDeepest(grid, request.questions - made)) {
      const trial = await magicTrial(prose, drawMagic(cities, 1, prose, random), [depth], Math.floor(request.tokens * share), start, request.count);
      const questions = trial.questions.map(({ question, expected, scoring, depthPercent = 0 }) => ({ question, expected, scoring, depthPercent }));
      yield { pieces: trial.pieces, needles: trial.needles!, pdf: true, questions };
    }
  }
}

/** Of a needle, at most. */
const NEEDLE_TOKENS = 24;

/** Needles in the haystack of Gemini's multi-needle test (section 5.2.1.5). */
export const HUNDRED = 100;

/** @param needles hidden at once, at as many depths */
export function multiSuite(prose: Prose, cities: readonly string[], needles = HUNDRED): Suite {
  return {
    name: 'multi',
    depths: linearDepths(needles),
    about: `${needles} magic numbers of different keys in one haystack, asked one by one (Gemini 1.5 Pro was asked for 100 at once, and gave about 70 % of them at 128K)`,
    lengths: [131_072],
    questions: needles,
    least: LEAST_TOKENS + NEEDLE_TOKENS * needles,
    together: () => needles,
    make: (request) => multiTrials(prose, cities, needles, request),
  };
}

async function* multiTrials(prose: Prose, cities: readonly string[], needles: number, request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'multi');
  const tokens = await request.room({ words: CONTEXT_HEAD + geminiPrompt(magicQuestion('Ho Chi Minh City')).tail });
  for (let made = 0; made < request.questions; made += needles) {
    const trial = await magicTrial(prose, drawMagic(cities, needles, prose, random), linearDepths(needles), tokens, drawStart(prose, random), request.count);
    // All are hidden, also where fewer are asked for.
    yield { ...trial, questions: trial.questions.slice(0, request.questions - made) };
  }
}

/** Of a line "Ho Chi Minh City: 1234567". */
const LINE_TOKENS = 20;

/** All needles in one answer, as Gemini 1.5 was asked; its prompt is not published, so this one is ours. */
export function multiAtOnceSuite(prose: Prose, cities: readonly string[], needles = HUNDRED): Suite {
  return {
    name: 'multi-at-once',
    about: `${needles} magic numbers of different keys in one haystack, all asked for in one question; recall is the share of them in the answer`,
    lengths: [131_072],
    questions: 1,
    round: 1,
    scoreName: 'score',
    least: LEAST_TOKENS + (NEEDLE_TOKENS + LINE_TOKENS) * needles,
    make: (request) => atOnceTrials(prose, cities, needles, request),
  };
}

async function* atOnceTrials(prose: Prose, cities: readonly string[], count: number, request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'multi-at-once');
  const question = `What are all ${count} special magic numbers, each with its key?`;
  const tail = `\n</context>\n\nThe context has ${count} sentences of the form "The special magic {key} number is: {number}". List every one of them, one per line, as {key}: {number}, and nothing else.`;
  const answerTokens = LINE_TOKENS * count;
  const tokens = await request.room({ words: CONTEXT_HEAD + tail, answerTokens });
  for (let made = 0; made < request.questions; made++) {
    const trial = await magicTrial(prose, drawMagic(cities, count, prose, random), linearDepths(count), tokens, drawStart(prose, random), request.count);
    const expected = trial.questions.flatMap((one) => one.expected);
    yield { ...trial, answerTokens, questions: [{ question, expected, scoring: 'all', published: { tail, prefix: '' }, guesses: expected }] };
  }
}
