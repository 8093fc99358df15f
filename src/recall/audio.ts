/**
 * Gemini 1.5's audio haystack (section 5.2.1.4): somewhere in hours of speech somebody says "The secret keyword is ...". The
 * voices are synthetic, and the haystack is a few minutes of sentences, repeated.
 */
import { drawDistinct, randomBelow, type Random } from '../random.js';
import { countUnits, linearDepths, placeNeedles, type Unit } from './haystack.js';
import type { SpeechClips } from './speech-clips.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

/** Of the embedded model, 12 minutes, half an hour, one hour and two take about so many tokens. */
export const audioLengths = { quick: [3072], full: [3072, 7680, 15_360, 30_720] } as const;

const QUESTION = 'What is the secret keyword?';
/** Section 12.16.8. */
const HEAD = 'Listen to the audio carefully and answer the question that comes after the audio input.\n\n';
const TAIL = `\n\nIn the audio above, someone says 'The secret keyword is X'. ${QUESTION}`;

export function audioSuite(clips: SpeechClips, depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'audio',
    about:
      `Gemini 1.5's secret keyword, said somewhere in speech, ${depths.length} depths; a recording is made and heard for each question, ` +
      `of ${clips.haystack.length} sentences by synthetic voices, again and again, and asked about as lodestone ask does`,
    depths,
    lengths: audioLengths.quick,
    questions: depths.length,
    make: (request) => audioTrials(clips, depths, request),
  };
}

async function* audioTrials({ haystack, needles }: SpeechClips, grid: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const random = trialRandom(request, 'audio');
  const guesses = needles.map(({ text }) => keywordOf(text));
  const units = await countUnits(haystack.map(({ text }) => `${text} `), request.count);
  const tokens = await request.room({ words: HEAD + TAIL });
  for (let made = 0; made < request.questions; made += grid.length) {
    const depths = grid.slice(0, request.questions - made);
    const drawn = drawNeedles(needles.map(({ text }) => text), depths.length, random);
    const room = Math.max(...(await Promise.all(drawn.map((text) => request.count(` ${text}`)))));
    // The same for all depths: without its needle, it is heard once.
    const around = repeat(units, tokens - room, randomBelow(units.length, random));
    for (const [i, depthPercent] of depths.entries()) {
      const text = drawn[i]!;
      const { pieces } = placeNeedles(around, [{ text, depthPercent }]);
      yield {
        pieces,
        head: HEAD,
        needles: [text],
        spoken: true,
        questions: [{ question: QUESTION, expected: [keywordOf(text)], scoring: 'contains', guesses, depthPercent, published: { tail: TAIL, prefix: '' } }],
      };
    }
  }
}

/** Different ones, as long as there are any. */
function drawNeedles(texts: readonly string[], count: number, random: Random): string[] {
  const drawn = drawDistinct(texts, Math.min(count, texts.length), random);
  return Array.from({ length: count }, (_, i) => drawn[i % drawn.length]!);
}

/** Whole sentences from `start` on, from the first again where they end, of at most `tokens` tokens. */
function repeat(units: readonly Unit[], tokens: number, start: number): Unit[] {
  const filled: Unit[] = [];
  let left = tokens;
  for (let i = start; ; i = (i + 1) % units.length) {
    const unit = units[i]!;
    if (unit.tokens > left || unit.tokens === 0) return filled;
    filled.push(unit);
    left -= unit.tokens;
  }
}

/** "The secret keyword is marigold." -> "marigold" */
function keywordOf(text: string): string {
  return /(\S+)\.$/u.exec(text)![1]!;
}
