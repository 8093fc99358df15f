/** The needles of RULER (NIAH): one or several keys and values in noise, in prose, or among other needles. */
import { drawDistinct, randomBelow, type Random } from '../random.js';
import { fillTokens, linearDepths } from './haystack.js';
import { drawNumber, drawUnused, drawUuid, drawWordKeys } from './keys.js';
import { countNeedles, type Prose } from './niah.js';
import type { Trial, TrialQuestion, TrialRequest } from './trial.js';

export interface NeedleKind {
  readonly haystack: 'noise' | 'essay' | 'needle';
  readonly key: 'words' | 'uuids';
  readonly value: 'numbers' | 'uuids';
  readonly keys: number;
  /** Of each key. */
  readonly values: number;
  /** Keys asked for at once. */
  readonly queries: number;
}

const ANSWER_TOKENS = 128;
export const NOISE = 'The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.';
/** Depths in % that the needles of an essay are drawn from. */
export const RULER_DEPTHS: readonly number[] = linearDepths(40).map(Math.round);

function needle(type: NeedleKind['value'], key: string, value: string): string {
  return `One of the special magic ${type} for ${key} is: ${value}.`;
}

/** k1, k2, k3, and k4 */
function listOf(keys: readonly string[]): string {
  return keys.length === 1 ? keys[0]! : `${keys.slice(0, -1).join(', ')}, and ${keys.at(-1)!}`;
}

/** RULER's template; where one value is asked for, in the singular. */
export function needlePrompt(type: NeedleKind['value'], keys: readonly string[], single: boolean): { readonly head: string; readonly question: string; readonly tail: string; readonly prefix: string } {
  const [some, are, name] = single ? ['A', 'is', type.slice(0, -1)] : ['Some', 'are', type];
  const query = listOf(keys);
  const question = `What ${are}${single ? '' : ' all'} the special magic ${name} for ${query} mentioned in the provided text?`;
  return {
    head: `${some} special magic ${name} ${are} hidden within the following text. Make sure to memorize it. I will quiz you about the ${name} afterwards.\n`,
    question,
    tail: `\n${question}`,
    prefix: ` The special magic ${name} for ${query} mentioned in the provided text ${are}`,
  };
}

export async function needleTask(kind: NeedleKind, request: TrialRequest, random: Random, prose: Prose): Promise<Trial> {
  const taken = (value: string): boolean => kind.haystack === 'essay' && prose.text.includes(value);
  const draw = kind.value === 'numbers' ? drawNumber : drawUuid;
  const keysOf = (count: number): string[] => (kind.key === 'words' ? drawWordKeys(count, random) : drawUnused(count, drawUuid, random, () => false));
  const keys = keysOf(kind.keys);
  const values = drawUnused(kind.keys * kind.values, draw, random, taken);
  const pairs = keys.map((key, i) => ({ key, values: values.slice(i * kind.values, (i + 1) * kind.values) }));
  const asked = drawDistinct(pairs, kind.queries, random);
  const expected = asked.flatMap((pair) => pair.values);
  const { head, question, tail, prefix } = needlePrompt(kind.value, asked.map(({ key }) => key), expected.length === 1);
  const tokens = await request.room({ words: head + tail + prefix, answerTokens: ANSWER_TOKENS });
  const all = pairs.flatMap((pair) => pair.values.map((value) => needle(kind.value, pair.key, value)));
  const needles = drawDistinct(all, all.length, random);
  const room = Math.max(0, tokens - (await countNeedles(needles, request.count)));

  let pieces: string[];
  let guesses = values;
  switch (kind.haystack) {
    case 'essay':
      pieces = amongSentences(prose, needles, room, random);
      break;
    case 'noise': {
      const unit = await request.count(`\n${NOISE}`);
      pieces = amongLines(Array.from({ length: Math.floor(room / unit) }, () => NOISE), needles, random);
      break;
    }
    case 'needle': {
      // A few together, since their keys differ in tokens.
      const sample = keysOf(8).map((key) => `\n${needle(kind.value, key, draw(random))}`);
      const unit = (await request.count(sample.join(''))) / sample.length;
      const count = Math.floor(room / (1.02 * unit));
      const others = keysOf(count + kind.keys).filter((key) => !keys.includes(key)).slice(0, count);
      const numbers = drawUnused(others.length, draw, random, (value) => values.includes(value));
      pieces = amongLines(others.map((key, i) => needle(kind.value, key, numbers[i]!)), needles, random);
      guesses = [...values, ...numbers];
      break;
    }
  }
  const asOne: TrialQuestion = { question, expected, scoring: 'all', published: { tail, prefix }, ...(guesses.length > 1 ? { guesses } : {}) };
  return { pieces, head, needles, answerTokens: ANSWER_TOKENS, questions: [asOne] };
}

/** The prose from its beginning, each needle a sentence of its own, behind as many sentences as its depth says. */
function amongSentences(prose: Prose, needles: readonly string[], tokens: number, random: Random): string[] {
  const sentences = fillTokens(prose.units, tokens).map(({ text }) => text.replace(/\s+/gu, ' ').trim());
  const depths = drawDistinct(RULER_DEPTHS, needles.length, random).sort((a, b) => a - b);
  const pieces: string[] = [];
  let next = 0;
  for (let i = 0; i <= sentences.length; i++) {
    for (; next < needles.length && Math.floor((sentences.length * depths[next]!) / 100) <= i; next++) pieces.push(`${needles[next]!} `);
    if (i < sentences.length) pieces.push(`${sentences[i]!} `);
  }
  return pieces;
}

/** A line each, needles in front of lines at random. */
export function amongLines(lines: readonly string[], needles: readonly string[], random: Random, inOrder = false): string[] {
  const places = needles.map(() => randomBelow(lines.length + 1, random));
  if (inOrder) places.sort((a, b) => a - b);
  const at = new Map<number, string[]>();
  for (const [i, place] of places.entries()) at.set(place, [...(at.get(place) ?? []), needles[i]!]);
  const pieces: string[] = [];
  for (let i = 0; i <= lines.length; i++) {
    for (const one of at.get(i) ?? []) pieces.push(`${one}\n`);
    if (i < lines.length) pieces.push(`${lines[i]!}\n`);
  }
  return pieces;
}
