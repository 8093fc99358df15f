/**
 * After NVIDIA's RULER (arXiv 2404.06654; code at c3f5e3b): its needle sentences, haystacks and questions, adapted to
 * models that answer with one piece of the text. Each suite's `about` says how; the figures are not RULER's own scores.
 */
import { ExitCode, LodestoneError } from '../errors.js';
import { drawDistinct, randomBelow, type Random } from '../random.js';
import { countUnits, fillTokens, linearDepths, placeNeedles } from './haystack.js';
import { drawNumber, drawUnused, drawUuid, drawWordKeys } from './keys.js';
import { hideInProse, type Prose } from './niah.js';
import { trialRandom, type Suite, type TokenCounter, type Trial, type TrialQuestion, type TrialRequest } from './trial.js';

const LENGTHS = [4096, 32_768, 131_072];
/** Rounded linspace(0, 100, 40): the depths that RULER draws from. */
const RULER_DEPTHS = linearDepths(40).map((depth) => Math.round(depth));

type ValueKind = 'number' | 'uuid';

export function rulerNeedle(kind: ValueKind, key: string, value: string): string {
  return `One of the special magic ${kind}s for ${key} is: ${value}.`;
}

export function rulerQuestion(kind: ValueKind, key: string): string {
  return `What is the special magic ${kind} for ${key} mentioned in the provided text?`;
}

export function rulerQuestionForAll(key: string): string {
  return `What are all the special magic numbers for ${key} mentioned in the provided text?`;
}

/** Questions about a haystack of needles: whichever is asked for, all others distract from it. */
const MULTIKEY_QUESTIONS = 11;

/** niah_multikey_2 (words and numbers) and niah_multikey_3 (UUIDs): the haystack is made of needles. */
export function multikeySuite(kind: ValueKind): Suite {
  return {
    name: kind === 'number' ? 'multikey' : 'multikey-uuid',
    about:
      `after RULER's niah_multikey_${kind === 'number' ? '2' : '3'}: every sentence is a needle with another key (${kind === 'number' ? 'two words, and a number' : 'a UUID, and a UUID'}); ` +
      `${MULTIKEY_QUESTIONS} of each haystack, at 11 depths, are asked for one by one`,
    lengths: LENGTHS,
    questions: 44,
    make: (request) => multikeyTrials(kind, request),
  };
}

async function* multikeyTrials(kind: ValueKind, request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'multikey', kind);
  const depths = linearDepths(MULTIKEY_QUESTIONS);
  for (let made = 0; made < request.questions; made += MULTIKEY_QUESTIONS) {
    const needles = await needlesToFill(kind, tokens, random, request.count);
    const questions = depths.slice(0, request.questions - made).map((depthPercent): TrialQuestion => {
      const { key, value } = needles[Math.round(((needles.length - 1) * depthPercent) / 100)]!;
      return { question: rulerQuestion(kind, key), expected: [value], scoring: 'contains', depthPercent };
    });
    yield { pieces: needles.map(({ key, value }) => `${rulerNeedle(kind, key, value)}\n`), questions };
  }
}

interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** Needles with different keys and values, as many as fit into `tokens`. */
async function needlesToFill(kind: ValueKind, tokens: number, random: Random, count: TokenCounter): Promise<KeyValue[]> {
  const needles: KeyValue[] = [];
  const keys = new Set<string>();
  const values = new Set<string>();
  for (let left = tokens; ; ) {
    const key = kind === 'number' ? drawWordKeys(1, random)[0]! : drawUuid(random);
    const value = kind === 'number' ? drawNumber(random) : drawUuid(random);
    if (keys.has(key) || values.has(value)) continue;
    left -= await count(`${rulerNeedle(kind, key, value)}\n`);
    if (left < 0) return needles;
    keys.add(key);
    values.add(value);
    needles.push({ key, value });
  }
}

const VALUES = 4;

export function multivalueSuite(prose: Prose): Suite {
  return {
    name: 'multivalue',
    about:
      `after RULER's niah_multivalue: one key has ${VALUES} numbers in prose, and all are asked for in one question. A hit names at least one of them ` +
      "(RULER's part); the share of all of them (RULER's all) is the score, and one short answer can hardly get more than a quarter",
    lengths: LENGTHS,
    questions: 44,
    hitName: 'one or more',
    scoreName: 'share of the values',
    make: (request) => multivalueTrials(prose, request),
  };
}

async function* multivalueTrials(prose: Prose, request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'multivalue');
  for (let made = 0; made < request.questions; made++) {
    const key = drawWordKeys(1, random)[0]!;
    const values = drawUnused(VALUES, drawNumber, random, (value) => prose.text.includes(value));
    const depths = drawDistinct(RULER_DEPTHS, VALUES, random);
    const needles = values.map((value, i) => ({ text: rulerNeedle('number', key, value), depthPercent: depths[i]! }));
    const { pieces } = await hideInProse(prose, needles, tokens, random, request.count);
    yield { pieces, needles: needles.map(({ text }) => text), questions: [{ question: rulerQuestionForAll(key), expected: values, scoring: 'any' }] };
  }
}

const QUERIES = 4;

export function multiquerySuite(prose: Prose): Suite {
  return {
    name: 'multiquery',
    about: `after RULER's niah_multiquery: ${QUERIES} keys, each with a number, in prose; each is asked for by itself (RULER asks for the ${QUERIES} at once)`,
    lengths: LENGTHS,
    questions: 44,
    make: (request) => multiqueryTrials(prose, request),
  };
}

async function* multiqueryTrials(prose: Prose, request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'multiquery');
  for (let made = 0; made < request.questions; made += QUERIES) {
    const keys = drawWordKeys(QUERIES, random);
    const values = drawUnused(QUERIES, drawNumber, random, (value) => prose.text.includes(value));
    const depths = drawDistinct(RULER_DEPTHS, QUERIES, random);
    const needles = keys.map((key, i) => ({ text: rulerNeedle('number', key, values[i]!), depthPercent: depths[i]! }));
    const { pieces } = await hideInProse(prose, needles, tokens, random, request.count);
    const questions = keys.map(
      (key, i): TrialQuestion => ({ question: rulerQuestion('number', key), expected: [values[i]!], scoring: 'contains', depthPercent: depths[i]! }),
    );
    yield { pieces, needles: needles.map(({ text }) => text), questions: questions.slice(0, request.questions - made) };
  }
}

const CHAINS = 4;
const HOPS = 4;
const NOISE = ['The grass is green. ', 'The sky is blue. ', 'The sun is yellow. ', 'Here we go. ', 'There and back again.\n'];

export function variableTrackingSuite(): Suite {
  return {
    name: 'variable-tracking',
    about:
      `after RULER's variable tracking: ${CHAINS} chains of ${HOPS} assignments in noise (RULER's default is one chain, whose value is then the only number there is); ` +
      "the value of each variable of one chain is asked for by itself, by hops (RULER asks for all variables of a value at once, which one short answer can't tell)",
    lengths: LENGTHS,
    questions: 5 * (HOPS + 1) * 2,
    make: (request) => variableTrials(request),
  };
}

async function* variableTrials(request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'variable-tracking');
  const noise = await countUnits(NOISE, request.count);
  for (let made = 0; made < request.questions; made += HOPS + 1) {
    const names = drawUnused(CHAINS * (HOPS + 1), drawName, random, () => false);
    // As RULER: 10,000 to 99,998.
    const values = drawUnused(CHAINS, (draw) => String(10_000 + randomBelow(89_999, draw)), random, () => false);
    const chains = values.map((value, c) => chain(names.slice(c * (HOPS + 1), (c + 1) * (HOPS + 1)), value));
    // Each chain's assignments stand in their order, at depths of their own.
    const needles = chains.flatMap((statements) => {
      const depths = statements.map(() => 100 * random()).sort((a, b) => a - b);
      return statements.map((text, i) => ({ text: `${text}\n`, depthPercent: depths[i]! }));
    });
    let left = tokens;
    for (const { text } of needles) left -= await request.count(` ${text}`);
    if (left < 0) throw new LodestoneError(ExitCode.usage, `${needles.length} assignments do not fit into a document of ${tokens} tokens`);
    const { pieces } = placeNeedles(fillTokens(noise, left), needles);
    const asked = randomBelow(CHAINS, random);
    const questions = Array.from({ length: HOPS + 1 }, (_, hops): TrialQuestion => {
      const at = asked * (HOPS + 1) + hops;
      return {
        question: `What value is assigned to VAR ${names[at]!}?`,
        expected: [values[asked]!],
        scoring: 'contains',
        part: hops === 1 ? '1 hop' : `${hops} hops`,
        depthPercent: needles[at]!.depthPercent,
      };
    });
    yield { pieces, questions: questions.slice(0, request.questions - made) };
  }
}

/** Five capital letters. */
function drawName(random: Random): string {
  return Array.from({ length: 5 }, () => String.fromCodePoint(65 + randomBelow(26, random))).join('');
}

/** VAR A = 12345. VAR B = VAR A. ... */
function chain(names: readonly string[], value: string): string[] {
  return names.map((name, i) => `VAR ${name} = ${i === 0 ? value : `VAR ${names[i - 1]!}`}.`);
}
