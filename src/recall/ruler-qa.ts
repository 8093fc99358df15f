/** RULER's questions about documents among many others: about one of them (SQuAD, qa_1), or two (HotpotQA, qa_2). */
import { drawDistinct, pick, type Random } from '../random.js';
import type { HotpotQuestion } from './hotpotqa.js';
import type { Paragraph } from './squad.js';
import type { Trial, TrialRequest } from './trial.js';

const ANSWER_TOKENS = 32;
const TASK = 'Answer the question based on the given documents. Only give me the answer and do not output any other words.';
const HEAD = `${TASK}\n\nThe following are given documents.\n\n`;
const PREFIX = ' Answer:';

function tailOf(question: string): string {
  return `\n\n${TASK}\n\nQuestion: ${question}`;
}

interface Asked {
  readonly question: string;
  readonly answers: readonly string[];
  readonly guesses?: readonly string[];
  /** Documents that must be there, whole. */
  readonly needed: readonly string[];
  /** In the order they are taken, while there is room; again from the first, where they end. */
  readonly others: readonly string[];
}

/** Documents in a row that are too long for what is left, before there is taken to be no room for any. */
const MISFITS = 20;

async function amongDocuments({ question, answers, guesses, needed, others }: Asked, request: TrialRequest, random: Random): Promise<Trial> {
  const tail = tailOf(question);
  const tokens = await request.room({ words: HEAD + tail + PREFIX, answerTokens: ANSWER_TOKENS });
  // The longest number a document may get.
  const size = async (text: string): Promise<number> => request.count(`\n\nDocument 10000:\n${text}`);
  const sizes = new Map<string, number>();
  const chosen = [...needed];
  let left = tokens;
  for (const text of needed) left -= await size(text);
  for (let i = 0, misfits = 0; misfits < Math.min(others.length, MISFITS); i = (i + 1) % others.length) {
    const text = others[i]!;
    const needs = sizes.get(text) ?? (await size(text));
    sizes.set(text, needs);
    if (needs > left) {
      misfits++;
      continue;
    }
    misfits = 0;
    chosen.push(text);
    left -= needs;
  }
  const pieces = drawDistinct(chosen, chosen.length, random).map((text, i, all) => `Document ${i + 1}:\n${text}${i + 1 < all.length ? '\n\n' : ''}`);
  const asked = { question, expected: answers, scoring: 'part', published: { tail, prefix: PREFIX }, ...(guesses ? { guesses } : {}) } as const;
  return { pieces, head: HEAD, answerTokens: ANSWER_TOKENS, questions: [asked] };
}

/** The paragraph of the question, the others of its article, then any. */
export async function questionFromSquad(request: TrialRequest, random: Random, paragraphs: readonly Paragraph[]): Promise<Trial> {
  const own = pick(paragraphs.filter(({ questions }) => questions.length > 0), random);
  const { question, answers } = pick(own.questions, random);
  const rest = drawDistinct(paragraphs, paragraphs.length, random).filter((one) => one !== own);
  const near = rest.filter(({ article }) => article === own.article);
  const far = rest.filter(({ article }) => article !== own.article);
  return amongDocuments({ question, answers, needed: [own.context], others: [...near, ...far].map(({ context }) => context) }, request, random);
}

/** What HotpotQA's answers are where they are no words of a document. */
const YES_OR_NO = ['yes', 'no'];

/** The documents of the question, then any of the others. */
export async function questionFromHotpotQa(request: TrialRequest, random: Random, all: readonly HotpotQuestion[]): Promise<Trial> {
  const { question, answer, documents, supporting } = pick(all, random);
  const near = documents.filter((one) => !supporting.includes(one));
  const far = [...new Set(all.flatMap((other) => other.documents))].filter((one) => !documents.includes(one));
  const others = [...near, ...drawDistinct(far, far.length, random)];
  return amongDocuments({ question, answers: [answer], ...(YES_OR_NO.includes(answer) ? { guesses: YES_OR_NO } : {}), needed: supporting, others }, request, random);
}
