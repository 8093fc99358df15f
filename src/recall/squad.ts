/** Natural questions: SQuAD 1.1 (Rajpurkar et al., 2016), alone and among other paragraphs. For evaluation only. */
import { readFileSync } from 'node:fs';
import { createRandom, drawDistinct, randomBelow, seedOf } from '../random.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { Suite, TokenCounter, Trial, TrialQuestion, TrialRequest } from './trial.js';

export interface Paragraph {
  /** Number of the article that it is of. */
  readonly article: number;
  readonly context: string;
  readonly questions: readonly { readonly question: string; readonly answers: readonly string[] }[];
}

/** The file format of SQuAD 1.1. Errors: LodestoneError(unreadableInput). */
export function loadSquad(path: string): Paragraph[] {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new LodestoneError(ExitCode.unreadableInput, `${path}: ${(cause as Error).message}`, { cause });
  }
  const file = json as { data?: { paragraphs?: { context?: string; qas?: { question: string; answers: { text: string }[] }[] }[] }[] } | null;
  const paragraphs = Array.isArray(file?.data) ? file.data.flatMap(({ paragraphs: list = [] }, article) => list.map((paragraph) => ({ ...paragraph, article }))) : [];
  if (!paragraphs.some(({ context, qas }) => typeof context === 'string' && Array.isArray(qas) && qas.length > 0)) {
    throw new LodestoneError(ExitCode.unreadableInput, `${path}: holds no questions in the form of SQuAD 1.1`);
  }
  return paragraphs.map(({ article, context = '', qas = [] }) => ({
    article,
    context,
    questions: qas.map(({ question, answers }) => ({ question, answers: answers.map(({ text }) => text) })),
  }));
}

export function squadSuite(paragraphs: readonly Paragraph[]): Suite {
  return {
    name: 'squad',
    about:
      'SQuAD 1.1 questions about their own paragraph, and about the same paragraph at a random place among others of the file; exact match, and token F1 (the best over the given answers)',
    shortest: 'own paragraph',
    lengths: [8192, 32_768],
    questions: 500,
    hitName: 'exact',
    scoreName: 'F1',
    make: (request) => squadTrials(paragraphs, request),
  };
}

/** The same questions at every length. */
async function* squadTrials(paragraphs: readonly Paragraph[], request: TrialRequest): AsyncGenerator<Trial> {
  const sample = createRandom(seedOf('squad', request.seed));
  const random = createRandom(seedOf('squad', request.seed, request.tokens));
  const all = paragraphs.flatMap(({ questions }, paragraph) => questions.map((_, question) => ({ paragraph, question })));
  const asked = new Map<number, number[]>();
  for (const { paragraph, question } of drawDistinct(all, Math.min(all.length, request.questions), sample)) {
    asked.set(paragraph, [...(asked.get(paragraph) ?? []), question]);
  }
  const tokensOf = new Map<number, number>();
  for (const [paragraph, list] of asked) {
    const { context, questions } = paragraphs[paragraph]!;
    const pieces = request.tokens === 0 ? [context] : await amongOthers(paragraphs, paragraph, request.tokens, random, request.count, tokensOf);
    yield {
      pieces,
      questions: list.map((i): TrialQuestion => ({ question: questions[i]!.question, expected: questions[i]!.answers, scoring: 'squad' })),
    };
  }
}

/** Paragraphs in a row that are too long for what is left, before the document is taken to be full. */
const MISFITS = 20;

/**
 * The paragraph at a random place among others in random order, at most `tokens` in all. The others come again where the
 * file has too few. Its own is always whole: where it is too long itself, it is all there is.
 */
async function amongOthers(
  paragraphs: readonly Paragraph[],
  own: number,
  tokens: number,
  random: () => number,
  count: TokenCounter,
  tokensOf: Map<number, number>,
): Promise<string[]> {
  const text = (i: number): string => `${paragraphs[i]!.context}\n\n`;
  const size = async (i: number): Promise<number> => {
    const known = tokensOf.get(i) ?? (await count(text(i)));
    tokensOf.set(i, known);
    return known;
  };
  const others = Array.from(paragraphs.keys()).filter((i) => i !== own);
  const chosen: number[] = [];
  let left = tokens - (await size(own));
  for (let skipped = 0, order: number[] = []; skipped < Math.min(others.length, MISFITS); ) {
    if (order.length === 0) order = drawDistinct(others, others.length, random);
    const next = order.pop()!;
    const needed = await size(next);
    if (needed > left) {
      skipped++;
      continue;
    }
    skipped = 0;
    chosen.push(next);
    left -= needed;
  }
  chosen.splice(randomBelow(chosen.length + 1, random), 0, own);
  return chosen.map(text);
}
