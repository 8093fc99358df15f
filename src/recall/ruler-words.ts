/** RULER's aggregation tasks: the words that occur most in a list (cwe), and the coded words that do (fwe). */
import { ExitCode, LodestoneError } from '../errors.js';
import { drawDistinct, randomBelow, type Random } from '../random.js';
import { countLong } from './haystack.js';
import { drawUnused } from './keys.js';
import type { Prose } from './niah.js';
import type { Trial, TrialRequest } from './trial.js';

export type WordTask = (request: TrialRequest, random: Random, prose: Prose) => Promise<Trial>;

const COMMON = 10;
const CWE_TOKENS = 120;
const CWE_HEAD = 'Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most often.\n';
const CWE_QUESTION = 'What are the 10 most common words in the above list?';
const CWE_TAIL = `\nQuestion: ${CWE_QUESTION}`;
const CWE_PREFIX = ' Answer: The top 10 words that appear most often in the list are:';

/** How often the common words of a list occur, and the others. */
interface Frequencies {
  readonly common: number;
  readonly other: number;
}

/** Below this length in tokens, RULER takes shorter lists. */
const SHORT = 4096;

function numbered(words: readonly string[]): string {
  return words.map((word, i) => `${i + 1}. ${word}`).join(' ');
}

/** The first ten of the words are the common ones. */
function list(words: readonly string[], { common, other }: Frequencies, random: Random): string {
  const all = words.flatMap((word, i) => Array.from({ length: i < COMMON ? common : other }, () => word));
  return numbered(drawDistinct(all, all.length, random));
}

const vocabularies = new WeakMap<Prose, readonly string[]>();

/** Different plain words of the prose. RULER's own list is not in the package. */
function vocabularyOf(prose: Prose): readonly string[] {
  const known = vocabularies.get(prose) ?? [...new Set(prose.text.toLowerCase().match(/(?<![\p{L}\p{N}'\u2019-])[a-z]{4,12}(?![\p{L}\p{N}'\u2019-])/gu) ?? [])].sort();
  vocabularies.set(prose, known);
  return known;
}

export const commonWords: WordTask = async (request, random, prose) => {
  const short = (request.stream ?? request.tokens) < SHORT;
  const frequencies = short ? { common: 6, other: 1 } : { common: 30, other: 3 };
  const vocabulary = vocabularyOf(prose);
  const exampleWords = short ? 20 : 40;
  if (vocabulary.length < exampleWords + COMMON) throw new LodestoneError(ExitCode.usage, `RULER's cwe needs more different words than the ${vocabulary.length} of this haystack`);
  const words = drawDistinct(vocabulary, vocabulary.length, random);
  const solved = drawDistinct(words, exampleWords, random);
  const example = list(solved, short ? { common: 3, other: 1 } : { common: 10, other: 3 }, random);
  const head = `${CWE_HEAD}${example}${CWE_TAIL}${CWE_PREFIX} ${numbered(solved.slice(0, COMMON))}\n${CWE_HEAD}`;
  const room = await request.room({ words: head + CWE_TAIL + CWE_PREFIX, answerTokens: CWE_TOKENS });
  const make = (count: number): { text: string; used: string[] } => {
    const used = words.slice(0, count);
    return { text: list(used, frequencies, random), used };
  };
  const count = await mostThatFit(COMMON, words.length, room, async (many) => countLong(make(many).text, request.count));
  const { text, used } = make(count);
  const shuffled = drawDistinct(used, used.length, random);
  const guesses = Array.from({ length: Math.floor(used.length / COMMON) }, (_, i) => shuffled.slice(i * COMMON, (i + 1) * COMMON).join(' '));
  return {
    pieces: [text],
    head,
    answerTokens: CWE_TOKENS,
    questions: [{ question: CWE_QUESTION, expected: used.slice(0, COMMON), scoring: 'all', published: { tail: CWE_TAIL, prefix: CWE_PREFIX }, guesses }],
  };
};

const FWE_TOKENS = 50;
const FWE_HEAD = 'Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded words. ';
const FWE_QUESTION = 'What are the three most frequently appeared words in the above coded text?';
const FWE_TAIL = `\nQuestion: Do not provide any explanation. Please ignore the dots '....'. ${FWE_QUESTION}`;
const FWE_PREFIX = ' Answer: According to the coded text above, the three most frequently appeared words are:';
/** zeta(2): word k of n occurs n / (zeta k^2) times. */
const ZETA = Math.PI ** 2 / 6;
const FREQUENT = 3;

function drawCode(random: Random): string {
  return Array.from({ length: 6 }, () => String.fromCodePoint(97 + randomBelow(26, random))).join('');
}

/** The first word of the vocabulary, which occurs most, is dots: noise. */
export const codedWords: WordTask = async (request, random) => {
  const room = await request.room({ words: FWE_HEAD + FWE_TAIL + FWE_PREFIX, answerTokens: FWE_TOKENS });
  const size = Math.max(8, Math.floor(room / 50));
  const vocabulary = ['...', ...drawUnused(size - 1, drawCode, random, () => false)];
  const wordsOf = (count: number): string[] => vocabulary.flatMap((word, i) => Array.from({ length: Math.floor(count / (ZETA * (i + 1) ** 2)) }, () => word));
  // Below this, two of the words asked for would occur as often.
  const least = Math.ceil(ZETA * 4 ** 2 * 4);
  const count = await mostThatFit(least, room, room, async (many) => countLong(wordsOf(many).join(' '), request.count));
  const words = wordsOf(count);
  const present = [...new Set(words)].slice(1);
  const groups = drawDistinct(present, present.length, random);
  const guesses = Array.from({ length: Math.floor(groups.length / FREQUENT) }, (_, i) => groups.slice(i * FREQUENT, (i + 1) * FREQUENT).join(' '));
  return {
    pieces: [drawDistinct(words, words.length, random).join(' ')],
    head: FWE_HEAD,
    answerTokens: FWE_TOKENS,
    questions: [{ question: FWE_QUESTION, expected: vocabulary.slice(1, 1 + FREQUENT), scoring: 'all', published: { tail: FWE_TAIL, prefix: FWE_PREFIX }, guesses }],
  };
};

/** The largest number from `least` to `most` whose text takes at most `room` tokens. Errors: LodestoneError(usage) where none does. */
async function mostThatFit(least: number, most: number, room: number, tokensOf: (count: number) => Promise<number>): Promise<number> {
  if ((await tokensOf(least)) > room) throw new LodestoneError(ExitCode.usage, `a list of ${least} words does not fit into a document of ${room} tokens`);
  let low = least;
  let high = Math.max(least, most);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((await tokensOf(middle)) <= room) low = middle;
    else high = middle - 1;
  }
  return low;
}
