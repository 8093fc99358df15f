/** RULER's variable tracking: a value handed from variable to variable, in noise; all names that have it are asked for. */
import { randomBelow, type Random } from '../random.js';
import { drawUnused } from './keys.js';
import { countNeedles } from './niah.js';
import { amongLines, NOISE } from './ruler-needles.js';
import type { Trial, TrialRequest } from './trial.js';

const HOPS = 4;
const ANSWER_TOKENS = 30;
const HEAD = 'Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n';
/** Lines of noise in the example in front: with its template it stays below 500 tokens. */
const EXAMPLE_LINES = 8;

function drawName(letters: number, random: Random): string {
  return Array.from({ length: letters }, () => String.fromCodePoint(65 + randomBelow(26, random))).join('');
}

/** VAR X1 = 12345, VAR X2 = VAR X1, ... */
function chain(names: readonly string[], value: string): string[] {
  return names.map((name, i) => `VAR ${name} = ${i === 0 ? value : `VAR ${names[i - 1]!}`}`);
}

function questionOf(value: string): { readonly question: string; readonly tail: string; readonly prefix: string } {
  const question = `Find all variables that are assigned the value ${value} in the text above.`;
  return {
    question,
    tail: `\nQuestion: ${question}`,
    prefix: ` Answer: According to the chain(s) of variable assignment in the text above, ${HOPS + 1} variables are assigned the value ${value}, they are: `,
  };
}

/** Solved in front of the task, with names of three letters. */
function example(random: Random): string {
  const names = drawUnused(HOPS + 1, (draw) => drawName(3, draw), random, () => false);
  const text = amongLines(Array.from({ length: EXAMPLE_LINES }, () => NOISE), chain(names, '12345'), random, true).join('');
  const { tail, prefix } = questionOf('12345');
  return `${HEAD}${text.trimEnd()}${tail}${prefix}${names.join(' ')}\n\n\n`;
}

export async function variableTracking(request: TrialRequest, random: Random): Promise<Trial> {
  const names = drawUnused(HOPS + 1, (draw) => drawName(5, draw), random, () => false);
  const value = String(10_000 + randomBelow(89_999, random));
  const head = example(random) + HEAD;
  const { question, tail, prefix } = questionOf(value);
  const statements = chain(names, value);
  const tokens = await request.room({ words: head + tail + prefix, answerTokens: ANSWER_TOKENS });
  const room = tokens - (await countNeedles(statements, request.count)) - statements.length;
  const unit = await request.count(`\n${NOISE}`);
  const pieces = amongLines(Array.from({ length: Math.max(0, Math.floor(room / unit)) }, () => NOISE), statements, random, true);
  const questions = [{ question, expected: names, scoring: 'all', published: { tail, prefix }, guesses: names } as const];
  return { pieces, head, needles: statements, answerTokens: ANSWER_TOKENS, questions };
}
