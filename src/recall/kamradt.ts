/**
 * The first needle in a haystack (gkamradt/LLMTest_NeedleInAHaystack at 7b90d28): one sentence about San Francisco. It was
 * judged by a model; here an answer is worth the share of the sentence's three parts that it holds.
 */
import { linearDepths } from './haystack.js';
import { drawStart, fromTheDeepest, hideInProse, type Prose } from './niah.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

const NEEDLE = '\nThe best thing to do in San Francisco is eat a sandwich and sit in Dolores Park on a sunny day.\n';
const QUESTION = 'What is the best thing to do in San Francisco?';
const PARTS = ['eat a sandwich', 'Dolores Park', 'sunny day'];

/** Gemma's template has no system turn; the system's words stand in front. */
const HEAD = 'You are a helpful AI bot that answers questions for a user. Keep your response short and direct\n\n';
const TAIL = `\n\n${QUESTION} Don't give information outside the document or repeat your findings`;

/** The length is that of the haystack and this many tokens for everything else. */
const BUFFER = 200;

/** The published grid: 35 lengths from 1,000 to 16,000 and 35 depths, both linear and rounded. */
export const KAMRADT_STEPS = 35;
export const kamradtLengths: readonly number[] = linearDepths(KAMRADT_STEPS).map((share) => Math.round(1000 + 150 * share));

export function kamradtSuite(prose: Prose, depths: readonly number[] = linearDepths(KAMRADT_STEPS).map(Math.round)): Suite {
  return {
    name: 'kamradt',
    about: `Kamradt's sandwich in Dolores Park, in prose, ${depths.length} depths; recall is the share of the sentence's three parts in the answer`,
    depths,
    scoreName: 'score',
    lengths: kamradtLengths,
    questions: depths.length,
    make: (request) => kamradtTrials(prose, depths, request),
  };
}

async function* kamradtTrials(prose: Prose, grid: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'kamradt');
  const words = HEAD + TAIL;
  const answerTokens = Math.max(64, BUFFER - (await request.count(words)));
  const tokens = await request.room({ words, answerTokens });
  for (let made = 0; made < request.questions; made += grid.length) {
    const start = drawStart(prose, random);
    for (const depthPercent of fromTheDeepest(grid, request.questions - made)) {
      const { pieces } = await hideInProse(prose, [{ text: NEEDLE, depthPercent }], tokens, start, request.count);
      yield {
        pieces,
        head: HEAD,
        needles: [NEEDLE],
        answerTokens,
        questions: [{ question: QUESTION, expected: PARTS, scoring: 'all', depthPercent, published: { tail: TAIL, prefix: '' } }],
      };
    }
  }
}
