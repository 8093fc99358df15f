/**
 * Not found is an answer: questions whose answer is not there, beside questions about the same haystack whose answer is.
 * A model that refuses everything gets the first right and none of the second.
 */
import { drawDistinct } from '../random.js';
import { heldOutFact, type Family } from './heldout.js';
import { linearDepths } from './haystack.js';
import { drawMagic, drawStart, hideInProse, magicQuestion, magicSentence, type Prose } from './niah.js';
import { trialRandom, type Suite, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

/** Facts in each haystack, and as many questions about others. */
const FACTS = 4;

export function absentSuite(prose: Prose, cities: readonly string[], families: readonly Family[]): Suite {
  return {
    name: 'absent',
    about:
      `${FACTS} facts in prose; the questions ask for each of them (not found is a false alarm) and for ${FACTS} that are not there (not found is right): ` +
      'magic numbers of other cities; held-out phrasings, half of them with a fact of the same kind about another key',
    lengths: [4096, 32_768],
    questions: 160,
    round: 4 * FACTS,
    together: () => 2 * FACTS,
    make: (request) => absentTrials(prose, cities, families, request),
  };
}

/** Of 16 questions, 8 are about needles, 8 about phrasings; half of each are absent. */
async function* absentTrials(prose: Prose, cities: readonly string[], families: readonly Family[], request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'absent');
  for (let made = 0, turn = 0; made < request.questions; turn++) {
    const ofNeedles = turn % 2 === 0 || families.length < 2 * FACTS;
    const { sentences, questions } = ofNeedles ? needles() : phrasings();
    const depths = linearDepths(FACTS);
    const { pieces } = await hideInProse(prose, sentences.map((text, i) => ({ text, depthPercent: depths[i]! })), tokens, drawStart(prose, random), request.count);
    yield { pieces, needles: sentences, questions: questions.slice(0, request.questions - made) };
    made += questions.length;
  }

  function needles(): { sentences: string[]; questions: TrialQuestion[] } {
    const magic = drawMagic(cities, 2 * FACTS, prose, random);
    const present = magic.slice(0, FACTS);
    // One of the numbers, or none.
    const guesses = [...present.map(({ number }) => number), ''];
    const questions = magic.map(({ key, number }, i): TrialQuestion =>
      i < FACTS
        ? { question: magicQuestion(key), expected: [number], scoring: 'contains', part: 'needle, there', guesses }
        : { question: magicQuestion(key), expected: [], scoring: 'absent', part: 'needle, absent', guesses },
    );
    return { sentences: present.map(magicSentence), questions: interleave(questions) };
  }

  function phrasings(): { sentences: string[]; questions: TrialQuestion[] } {
    const drawn = drawDistinct(families, FACTS + FACTS / 2, random);
    const facts = drawn.slice(0, FACTS).map((family) => heldOutFact(family, prose.text, random));
    const guesses = [...facts.map(({ value }) => value), ''];
    const there = facts.map(({ question, value }): TrialQuestion => ({ question, expected: [value], scoring: 'contains', part: 'phrasing, there', guesses }));
    const otherKey = drawn.slice(0, FACTS / 2).map((family, i): TrialQuestion => {
      const { question } = heldOutFact(family, prose.text, random, facts[i]!.key);
      return { question, expected: [], scoring: 'absent', part: 'phrasing, absent, other key there', guesses };
    });
    const otherKind = drawn.slice(FACTS).map((family): TrialQuestion => {
      const { question } = heldOutFact(family, prose.text, random);
      return { question, expected: [], scoring: 'absent', part: 'phrasing, absent', guesses };
    });
    return { sentences: facts.map(({ sentence }) => sentence), questions: interleave([...there, ...otherKey, ...otherKind]) };
  }
}

/** First and second half by turns, so that a few questions are some of both. */
function interleave<T>(list: readonly T[]): T[] {
  const half = list.length / 2;
  return list.slice(0, half).flatMap((one, i) => [one, list[half + i]!]);
}
