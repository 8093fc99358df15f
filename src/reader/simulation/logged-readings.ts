/**
 * What the embedded model made of passages, logged once (log-readings.ts), so that a simulated reading costs a look-up: the readings of
 * passages that are the same to a question as this one, of the same phrasing where there are enough.
 */
import { readFileSync } from 'node:fs';
import type { QuestionKind, Relation } from './corpus.js';
import type { Split } from './names.js';

export type LeadKind = 'no lead' | 'right lead' | 'wrong lead';

export interface LoggedReading {
  readonly split: Split;
  readonly kind: QuestionKind;
  readonly phrasing: string;
  /** none: the passage holds no sentence that was hidden for the question or its like. */
  readonly relation: Relation | 'none';
  /** What stood in front of the passage: nothing; the first of two steps; something else. */
  readonly lead: LeadKind;
  /** Share of the question's words in the passage. */
  readonly relevance: number;
  readonly found: boolean;
  readonly right: boolean;
  readonly confidence: number;
}

/** Its file: one array for each column. */
export interface LoggedColumns {
  readonly about: string;
  readonly names: readonly string[];
  /** Of each reading, indices into `names`. */
  readonly split: readonly number[];
  readonly kind: readonly number[];
  readonly phrasing: readonly number[];
  readonly relation: readonly number[];
  readonly lead: readonly number[];
  readonly relevance: readonly number[];
  /** 0: nothing found; 1: something wrong; 2: the answer. */
  readonly outcome: readonly number[];
  readonly confidence: readonly number[];
}

export function toColumns(about: string, readings: readonly LoggedReading[]): LoggedColumns {
  const names: string[] = [];
  const numbers = new Map<string, number>();
  const number = (name: string): number => {
    const known = numbers.get(name);
    if (known !== undefined) return known;
    numbers.set(name, names.length);
    return names.push(name) - 1;
  };
  const rounded = (value: number): number => Number(value.toPrecision(3));
  return {
    about,
    names,
    split: readings.map(({ split }) => number(split)),
    kind: readings.map(({ kind }) => number(kind)),
    phrasing: readings.map(({ phrasing }) => number(phrasing)),
    relation: readings.map(({ relation }) => number(relation)),
    lead: readings.map(({ lead }) => number(lead)),
    relevance: readings.map(({ relevance }) => rounded(relevance)),
    outcome: readings.map(({ found, right }) => (found ? (right ? 2 : 1) : 0)),
    confidence: readings.map(({ confidence }) => rounded(confidence)),
  };
}

export function fromColumns(columns: LoggedColumns): LoggedReading[] {
  const name = (numbers: readonly number[], i: number): string => columns.names[numbers[i]!]!;
  return columns.outcome.map((outcome, i) => ({
    split: name(columns.split, i) as Split,
    kind: name(columns.kind, i) as QuestionKind,
    phrasing: name(columns.phrasing, i),
    relation: name(columns.relation, i) as LoggedReading['relation'],
    lead: name(columns.lead, i) as LeadKind,
    relevance: columns.relevance[i]!,
    found: outcome > 0,
    right: outcome === 2,
    confidence: columns.confidence[i]!,
  }));
}

export function loadReadings(file: string): LoggedReading[] {
  return fromColumns(JSON.parse(readFileSync(file, 'utf8')) as LoggedColumns);
}

/** Fewer readings of a phrasing than these say too little; then those of all phrasings count. */
const ENOUGH = 6;
/** Of the readings nearest in relevance, one is drawn. */
const NEAREST = 12;

type Sought = Pick<LoggedReading, 'split' | 'kind' | 'phrasing' | 'relation' | 'lead' | 'relevance'>;

/** From the most to the least like. Counting differs from all else; the other kinds are told apart by relation and lead. */
function keysOf({ split, kind, phrasing, relation, lead }: Omit<Sought, 'relevance'>): string[] {
  const what = kind === 'count' ? 'count' : 'other';
  return [
    `${split} ${kind} ${phrasing} ${relation} ${lead}`,
    `${split} ${what} * ${phrasing} ${relation} ${lead}`,
    `${split} ${what} * ${relation} ${lead}`,
    `${split} ${what} * ${relation}`,
    `${split} * ${relation}`,
  ];
}

export class ReadingLog {
  readonly #groups = new Map<string, LoggedReading[]>();

  constructor(readings: readonly LoggedReading[]) {
    for (const reading of readings) {
      for (const key of keysOf(reading)) {
        const group = this.#groups.get(key);
        if (group) group.push(reading);
        else this.#groups.set(key, [reading]);
      }
    }
    for (const group of this.#groups.values()) group.sort((a, b) => a.relevance - b.relevance);
  }

  /** @param chance 0..1, decides among the nearest. Throws RangeError where nothing of the relation was logged. */
  draw(sought: Sought, chance: number): LoggedReading {
    const groups = keysOf(sought).map((key) => this.#groups.get(key) ?? []);
    const group = groups.find(({ length }) => length >= ENOUGH) ?? groups.at(-1)!;
    if (group.length === 0) throw new RangeError(`no reading of a passage of relation ${sought.relation} was logged`);
    let at = 0;
    while (at < group.length && group[at]!.relevance < sought.relevance) at++;
    const count = Math.min(NEAREST, group.length);
    const from = Math.max(0, Math.min(group.length - count, at - Math.floor(count / 2)));
    return group[from + Math.floor(chance * count)]!;
  }
}
