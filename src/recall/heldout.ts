/**
 * Facts in phrasings, with keys and values, that the embedded model's training never sees: the phrasings come from the
 * recipe's eval_templates.json, and tests/recall/heldout.test.ts compares all of them with what the recipe trains on.
 */
import { readFileSync } from 'node:fs';
import { insertNeedle, type NeedleTrial } from './niah.js';

interface Family {
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

const MADE_VALUES: Readonly<Record<string, (random: () => number) => string>> = {
  num: (random) => String(1000 + Math.floor(random() * 9_999_000)),
  money: (random) => `$${(1000 + Math.floor(random() * 99_000)).toLocaleString('en-US')}`,
  code: (random) => `${String.fromCodePoint(65 + Math.floor(random() * 26))}${String.fromCodePoint(65 + Math.floor(random() * 26))}-${100 + Math.floor(random() * 900)}`,
  time: (random) => `${1 + Math.floor(random() * 12)}:${String(Math.floor(random() * 60)).padStart(2, '0')}`,
};

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}

function valueOf(kind: string, random: () => number): string {
  const make = MADE_VALUES[kind];
  return make === undefined ? pick(NAMED_VALUES[kind]!, random) : make(random);
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

/** @param path the recipe's eval_templates.json */
export function loadHeldOutFamilies(path: string): Family[] {
  return (JSON.parse(readFileSync(path, 'utf8')) as { families: Family[] }).families;
}

export function heldOutTrial(document: string, family: Family, depthPercent: number, random: () => number): NeedleTrial {
  const key = pick(KEYS[pick(family.keys, random)]!, random);
  const expected = valueOf(pick(family.values, random), random);
  const fill = (template: string): string => template.replace('{k}', key).replace('{v}', expected);
  return {
    document: insertNeedle(document, capitalised(fill(pick(family.facts, random))), depthPercent),
    question: fill(pick(family.questions, random)),
    expected,
    depthPercent,
  };
}
