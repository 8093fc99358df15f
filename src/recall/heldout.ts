/**
 * Facts in phrasings, with keys and values, that the embedded model's training never sees: the phrasings come from the
 * recipe's eval_templates.json, and tests/recall/heldout.test.ts compares all of them with what the recipe trains on.
 */
import { pick, randomBelow, type Random } from '../random.js';
import { linearDepths } from './haystack.js';
import { drawUnused } from './keys.js';
import { drawStart, fromTheDeepest, hideInProse, type Prose } from './niah.js';
import { trialRandom, type Suite, type Trial, type TrialRequest } from './trial.js';

/** A kind of fact: phrasings with slots {k} and {v} for key and value, and what may fill them. */
export interface Family {
  readonly name: string;
  readonly keys: readonly string[];
  readonly values: readonly string[];
  readonly facts: readonly string[];
  readonly questions: readonly string[];
}

/** By kind. None of them may be one of the recipe's nouns (templates/nouns.json). */
export const KEYS: Readonly<Record<string, readonly string[]>> = {
  thing: ['the Quillfeather strongroom', 'the Ostravik granary', 'the Belmonte cistern', 'the Wexcombe silo'],
  person: ['Ottoline Bramhall', 'Casimir Tredgold', 'Yevgenia Marrack', 'Barnaby Oduya'],
  project: ['Project Saltmarsh', 'the Heronsgate tunnel', 'the Vandermeer causeway', 'Operation Candlewick'],
  ship: ['the Gannet Queen', 'the Thornapple', 'the Lady Perpetua', 'the Sirocco Maid'],
  object: ['the Pellworth trunk', 'the third brass sextant', 'the Abernathy parcel', 'the walnut casket'],
  place: ['Dunnockshaw', 'Port Avelline', 'Kirkhallow', 'Monte Sorrel'],
  product: ['the Larkin valve', 'the Zephyrette lamp', 'the Muldowney press', 'the Pentland reel'],
  room: ['the octagon library', 'the lower vestry', 'the map gallery', 'the tapestry room'],
  event: ['the Midwater regatta', 'the Corvane sprint', 'the Ashdale ploughing match', 'the lantern race'],
};

/** By kind, as `KEYS`. */
export const NAMED_VALUES: Readonly<Record<string, readonly string[]>> = {
  place: ['Ravensmoor', 'Little Aldwick', 'Carrowbeg', 'Tollerton Quay'],
  person: ['Philippa Drumgoole', 'Anselm Kettleby', 'Roderick Vane', 'Ursula Thackston'],
  colour: ['puce', 'cerise', 'mustard', 'taupe'],
  food: ['potted shrimps', 'gooseberry tart', 'smoked eel', 'barley dumplings'],
};

const MADE_VALUES: Readonly<Record<string, (random: Random) => string>> = {
  num: (random) => String(1000 + randomBelow(9_999_000, random)),
  money: (random) => `$${(1000 + randomBelow(99_000, random)).toLocaleString('en-US')}`,
  code: (random) => `${letter(random)}${letter(random)}-${100 + randomBelow(900, random)}`,
  time: (random) => `${1 + randomBelow(12, random)}:${String(randomBelow(60, random)).padStart(2, '0')}`,
};

function letter(random: Random): string {
  return String.fromCodePoint(65 + randomBelow(26, random));
}

function valueOf(kind: string, random: Random): string {
  const make = MADE_VALUES[kind];
  return make === undefined ? pick(NAMED_VALUES[kind]!, random) : make(random);
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

export interface Fact {
  readonly sentence: string;
  readonly question: string;
  readonly key: string;
  readonly value: string;
  /** All values of its kind, where they are few. */
  readonly guesses: readonly string[];
}

/** A fact whose value does not stand in `text`, about any key of its family but `notKey`. */
export function heldOutFact(family: Family, text: string, random: Random, notKey?: string): Fact {
  const keys = KEYS[pick(family.keys, random)]!.filter((one) => one !== notKey);
  const key = pick(keys, random);
  const kind = pick(family.values, random);
  const value = drawUnused(1, (draw) => valueOf(kind, draw), random, (one) => text.includes(one))[0]!;
  const fill = (template: string): string => template.replace('{k}', key).replace('{v}', () => value);
  return { sentence: capitalised(fill(pick(family.facts, random))), question: fill(pick(family.questions, random)), key, value, guesses: NAMED_VALUES[kind] ?? [] };
}

export function heldOutSuite(prose: Prose, families: readonly Family[], depths: readonly number[] = linearDepths(11)): Suite {
  return {
    name: 'heldout',
    about: `a fact in one of ${families.length} phrasings that training never sees, at ${depths.length} depths of prose; one per haystack`,
    depths,
    lengths: [1024, 2048, 4096, 8192, 16_384, 32_768],
    questions: 44,
    make: (request) => heldOutTrials(prose, families, depths, request),
  };
}

async function* heldOutTrials(prose: Prose, families: readonly Family[], depths: readonly number[], request: TrialRequest): AsyncGenerator<Trial> {
  const tokens = request.tokens;
  const random = trialRandom(request, 'heldout');
  for (let made = 0; made < request.questions; made += depths.length) {
    const start = drawStart(prose, random);
    for (const depthPercent of fromTheDeepest(depths, request.questions - made)) {
      const { sentence, question, value, guesses } = heldOutFact(pick(families, random), prose.text, random);
      const { pieces } = await hideInProse(prose, [{ text: sentence, depthPercent }], tokens, start, request.count);
      yield { pieces, needles: [sentence], questions: [{ question, expected: [value], scoring: 'contains', depthPercent, guesses }] };
    }
  }
}
