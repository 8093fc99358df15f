/**
 * Which of several: multi-round co-reference resolution after the generator of Google DeepMind (eval_hub, MRCR v2). A long
 * conversation asks for pieces of writing, the same piece 2, 4 or 8 times; one of them must be given again, behind a hash.
 * There a model wrote the pieces; here they are put together from sentences of the haystack under openings about the topic,
 * so that all differ, and nothing but their place in the conversation tells one from the others.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { drawDistinct, pick, randomBelow, type Random } from '../random.js';
import type { Prose } from './niah.js';
import { MRCR_HASH } from './scoring.js';
import { trialRandom, type Suite, type TokenCounter, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

const FORMATS = ['email', 'short story', 'blog post', 'tweet', 'poem', 'essay', 'riddle'];
const TOPICS = ['space exploration', 'gardening tips', 'a fictional product launch', 'ancient myths', 'penguins', 'flamingoes', 'ducks'];
/** Of turns that nothing is asked about. */
const FILLERS = ['black holes', 'dreams', 'Cambrian Explosion', 'The Renaissance', 'sign language', 'dystopia'];
const STYLES = ['formal', 'informal', 'humorous', 'technical', 'archaic'];
const EXAMPLE_TOPICS = ['game theory', 'Europa', 'illusions', 'lost languages', 'fractals', 'lions'];
const EXAMPLE_STYLES = ['pirate', 'professorial', 'regal', 'journalistic', 'gothic'];
const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth'];
const OPENINGS = ['Of', 'A few words on', 'Once more about', 'This is about', 'Let us speak of', 'To begin with', 'Something on the subject of', 'Thoughts on'];

/** Identical requests in one conversation. */
export const MRCR_NEEDLES = [2, 4, 8] as const;
/** Asked about each conversation, which is read once. */
const QUESTIONS = 4;
/** Sentences of the haystack in a piece. */
const SENTENCES = 3;
const ANSWER_TOKENS = 320;

interface Ask {
  readonly format: string;
  readonly topic: string;
  readonly style: string;
}

interface Turn extends Ask {
  readonly text: string;
}

function request({ format, topic, style }: Ask): string {
  return `Write a ${format} about ${topic} in ${style} style.`;
}

function turnText(turn: Turn): string {
  return `User: ${request(turn)}\n\nAssistant: ${turn.text}\n\n`;
}

function finalRequest({ format, topic, style }: Ask, ordinal: string, hash: string): string {
  return `Prepend ${hash} to the ${ordinal} ${format} about ${topic} in a ${style} style. Do not include any other text in your response.`;
}

function drawHash(random: Random): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length: MRCR_HASH }, () => letters[randomBelow(letters.length, random)]!).join('');
}

/** Sentences that are neither too short to tell apart nor too long for a piece. */
function sentencesOf(prose: Prose): string[] {
  const all = prose.units.map(({ text }) => text.replace(/\s+/gu, ' ').trim());
  const fit = all.filter((text) => text.length >= 40 && text.length <= 200);
  return fit.length >= 8 ? fit : all.filter((text) => text !== '');
}

function write(ask: Ask, sentences: readonly string[], random: Random): string {
  const body = Array.from({ length: SENTENCES }, () => pick(sentences, random));
  return `${pick(OPENINGS, random)} ${ask.topic}. ${body.join(' ')}`;
}

/** Turns of the same request, all different. */
function writeGroup(ask: Ask, count: number, sentences: readonly string[], random: Random): Turn[] {
  const texts = new Set<string>();
  for (let tries = 0; texts.size < count && tries < 100 * count; tries++) texts.add(write(ask, sentences, random));
  if (texts.size < count) throw new LodestoneError(ExitCode.usage, 'the haystack has too few different sentences for mrcr');
  return [...texts].map((text) => ({ ...ask, text }));
}

function everyAsk(topics: readonly string[], random: Random): Ask[] {
  const all = FORMATS.flatMap((format) => topics.flatMap((topic) => STYLES.map((style) => ({ format, topic, style }))));
  return drawDistinct(all, all.length, random);
}

/** Two conversations, followed by a right answer each. */
function examples(sentences: readonly string[], random: Random): string {
  const one = (): string => {
    const ask = { format: pick(FORMATS, random), topic: pick(EXAMPLE_TOPICS, random), style: pick(EXAMPLE_STYLES, random) };
    const turns = writeGroup(ask, 2, sentences, random);
    const hash = drawHash(random);
    return `${turns.map(turnText).join('')}User: ${finalRequest(ask, ORDINALS[1]!, hash)}\n\nAssistant: ${hash}${turns[1]!.text}\n\n`;
  };
  const title = (n: number): string => `======== EXAMPLE ${n} ========\n\n`;
  return `Here are some examples of conversations succeeded by a follow-up question answered correctly:\n\n${title(1)}${one()}${title(2)}${one()}${title(3)}`;
}

interface Conversation {
  readonly turns: readonly Turn[];
  readonly groups: readonly (readonly Turn[])[];
}

/** Groups of `needles` turns while they fit, then fillers; a group's turns keep their order among the others. Errors: LodestoneError(usage). */
async function converse(needles: number, tokens: number, sentences: readonly string[], random: Random, count: TokenCounter): Promise<Conversation> {
  const groups: Turn[][] = [];
  let left = tokens;
  for (const ask of everyAsk(TOPICS, random)) {
    const group = writeGroup(ask, needles, sentences, random);
    const needs = await count(group.map(turnText).join(''));
    // Half of a conversation is left for what is not asked about.
    if (needs > (groups.length === 0 ? left : left - tokens / 2)) break;
    groups.push(group);
    left -= needs;
  }
  if (groups.length === 0) throw new LodestoneError(ExitCode.usage, `${needles} pieces of writing do not fit into a conversation of ${tokens} tokens`);
  const pending = groups.map((group) => [...group]);
  const turns: Turn[] = [];
  while (pending.some((group) => group.length > 0)) turns.push(pick(pending.filter((group) => group.length > 0), random).shift()!);
  const fillers = everyAsk(FILLERS, random);
  for (let i = 0; ; i++) {
    const ask = fillers[i % fillers.length]!;
    const turn = { ...ask, text: write(ask, sentences, random) };
    left -= await count(turnText(turn));
    if (left < 0) break;
    turns.splice(randomBelow(turns.length + 1, random), 0, turn);
  }
  return { turns, groups };
}

export function mrcrSuite(prose: Prose): Suite {
  return {
    name: 'mrcr',
    about:
      'after MRCR v2: one of 2, 4 or 8 pieces of writing that were asked for in the same words, given again behind a hash; pieces are made of sentences of the haystack. Recall is the mean of the SequenceMatcher ratio (with autojunk, as published), found are copies of 95 % and more (without)',
    lengths: [8192, 32_768, 131_072],
    questions: QUESTIONS * MRCR_NEEDLES.length,
    round: QUESTIONS * MRCR_NEEDLES.length,
    least: 4096,
    scoreName: 'score',
    together: () => QUESTIONS,
    make: (trialRequest) => mrcrTrials(prose, trialRequest),
  };
}

async function* mrcrTrials(prose: Prose, trialRequest: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(trialRequest, 'mrcr');
  const sentences = sentencesOf(prose);
  const head = examples(sentences, trialRandom({ seed: trialRequest.seed, tokens: 0 }, 'mrcr examples'));
  const longest = finalRequest({ format: 'short story', topic: TOPICS[2]!, style: 'technical' }, 'seventh', '0'.repeat(MRCR_HASH));
  const tokens = await trialRequest.room({ words: `${head}User: ${longest}\n\nAssistant:`, answerTokens: ANSWER_TOKENS });
  for (let made = 0, round = 0; made < trialRequest.questions; made += QUESTIONS, round++) {
    const needles = MRCR_NEEDLES[round % MRCR_NEEDLES.length]!;
    const { turns, groups } = await converse(needles, tokens, sentences, random, trialRequest.count);
    const questions = Array.from({ length: Math.min(QUESTIONS, trialRequest.questions - made) }, (): TrialQuestion => {
      const group = pick(groups, random);
      const at = randomBelow(needles, random);
      const hash = drawHash(random);
      const question = finalRequest(group[at]!, ORDINALS[at]!, hash);
      return {
        question,
        expected: [hash + group[at]!.text],
        scoring: 'mrcr',
        part: `${needles} needles`,
        published: { tail: `User: ${question}\n\nAssistant:`, prefix: '' },
        guesses: group.map(({ text }) => hash + text),
      };
    });
    yield { pieces: turns.map(turnText), head, answerTokens: ANSWER_TOKENS, questions };
  }
}
