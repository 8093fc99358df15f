/**
 * From an answer back to its place. The answer is looked up literally in the sources (folded, as whole words); of
 * several places, the one whose surroundings share most with the question comes first. A citation is `verified` only
 * if its quote holds the answer to the letter (folded); otherwise it is the most related place, and says so.
 */
import type { IngestedSource, Segment } from '../ingest/segment.js';
import { fold, occurrences, type FoldedText } from './fold.js';
import { sentenceAround } from './sentences.js';

export interface Citation {
  /** Path of the source as the user named it. */
  readonly source: string;
  /** 1-based. */
  readonly page?: number;
  /** 1-based, first and last line of the quote. */
  readonly lines?: readonly [number, number];
  readonly quote: string;
  readonly verified: boolean;
}

const MAX_CITATIONS = 3;
/** Share of the best place's score that another place must reach to be cited beside it. */
const ALSO_CITED = 0.9;

const STOP_WORDS = new Set(
  ('a an and are as at be been being by can could did do does for from had has have he her him his how i if in into is it its ' +
    'many me much my name no not of on one or our out s she so some t tell than that the their them then there these they this ' +
    'those to us was we were what when where which who whom whose why will with would you your please give').split(' '),
);

/** A light stem, so that "commands" meets "commanded": enough for ranking, no more is claimed. */
function stem(word: string): string {
  if (/\d/u.test(word) || word.length < 5) return word;
  return word.replace(/(?:ies|ied|ing|edly|ed|es|ly|s|e|y)$/u, '');
}

/** The words of a folded text that carry meaning, stemmed. */
export function contentWords(folded: string): string[] {
  const words = folded.match(/[\p{L}\p{N}]+/gu) ?? [];
  return words.filter((word) => !STOP_WORDS.has(word)).map(stem);
}

interface Place {
  readonly segment: Segment;
  readonly folded: FoldedText;
  /** In the folded text. */
  readonly start: number;
  readonly end: number;
  readonly score: number;
}

/** Rareness of each question word in these sources: ln(words / (1 + occurrences)), at least 0. */
function rareness(words: ReadonlySet<string>, texts: readonly FoldedText[]): Map<string, number> {
  const counts = new Map<string, number>();
  let total = 0;
  for (const { text } of texts) {
    for (const word of contentWords(text)) {
      total++;
      if (words.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return new Map([...words].map((word) => [word, Math.max(0, Math.log((total + 1) / (1 + (counts.get(word) ?? 0))))]));
}

/** How much of the question stands around [start, end): words in the sentence count whole, words near by half. */
function closeness(folded: FoldedText, start: number, end: number, weights: ReadonlyMap<string, number>): number {
  const near = new Set(contentWords(folded.text.slice(Math.max(0, start - 240), Math.min(folded.text.length, end + 240))));
  const tight = new Set(contentWords(folded.text.slice(Math.max(0, start - 90), Math.min(folded.text.length, end + 90))));
  let score = 0;
  for (const [word, weight] of weights) {
    if (tight.has(word)) score += weight;
    else if (near.has(word)) score += weight / 2;
  }
  return score;
}

function toCitation(place: Place, sources: readonly IngestedSource[], verified: boolean): Citation {
  const { segment, folded } = place;
  const from = folded.origin[place.start]!;
  const to = folded.origin[place.end - 1]! + 1;
  const [start, end] = sentenceAround(segment.text, from, to);
  const quote = segment.text.slice(start, end).replace(/\s+/gu, ' ').trim();
  const source = sources.find((entry) => entry.segments.includes(segment))!.source.path;
  const line = (offset: number): number => segment.line! + (segment.text.slice(0, offset).match(/\n/gu)?.length ?? 0);
  return {
    source,
    ...(segment.page === undefined ? {} : { page: segment.page }),
    ...(segment.line === undefined ? {} : { lines: [line(start), line(Math.max(start, end - 1))] as const }),
    quote,
    verified,
  };
}

/** The place that shares most words with question and answer, when the answer itself stands nowhere. */
function mostRelated(segments: readonly { segment: Segment; folded: FoldedText }[], weights: ReadonlyMap<string, number>): Place | null {
  let best: Place | null = null;
  for (const { segment, folded } of segments) {
    const matcher = /[\p{L}\p{N}]+/gu;
    for (let match = matcher.exec(folded.text); match !== null; match = matcher.exec(folded.text)) {
      if (!weights.has(stem(match[0]))) continue;
      const end = match.index + match[0].length;
      const score = closeness(folded, match.index, end, weights);
      if (score > (best?.score ?? 0)) best = { segment, folded, start: match.index, end, score };
    }
  }
  return best;
}

/**
 * Citations for an answer, best first; none if the sources share no word with it.
 * @param needle what must stand in the source: the answer of an extractive model, or the quote that a model gave.
 */
export function cite(question: string, needle: string, sources: readonly IngestedSource[]): Citation[] {
  const segments = sources.flatMap((entry) => entry.segments).map((segment) => ({ segment, folded: fold(segment.text) }));
  const texts = segments.map((entry) => entry.folded);
  const sought = fold(needle.trim()).text.replace(/^["']+|["'.]+$/gu, '');
  const questionWords = new Set(contentWords(fold(question).text));

  const found = segments.flatMap(({ segment, folded }) =>
    occurrences(folded.text, sought).map((start) => ({ segment, folded, start, end: start + sought.length })),
  );
  if (found.length > 0) {
    // One place needs no ranking, and counting words is what takes time in a long source.
    const weights: ReadonlyMap<string, number> = found.length === 1 ? new Map() : rareness(questionWords, texts);
    const places: Place[] = found.map((place) => ({ ...place, score: closeness(place.folded, place.start, place.end, weights) }));
    places.sort((a, b) => b.score - a.score);
    const best = places[0]!.score;
    const citations = places
      .filter((place) => place.score >= best * ALSO_CITED)
      .slice(0, MAX_CITATIONS)
      .map((place) => toCitation(place, sources, true));
    return citations.filter((citation, i) => citations.findIndex((other) => other.quote === citation.quote && other.page === citation.page) === i);
  }
  const all = rareness(new Set([...questionWords, ...contentWords(fold(needle).text)]), texts);
  const related = mostRelated(segments, all);
  return related === null ? [] : [toCitation(related, sources, false)];
}
