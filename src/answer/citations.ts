/**
 * From an answer back to its place. What is sought is the answer, or the quote that a chat model gave with it. It is
 * looked up literally in the sources (folded, as whole words); of several places, the one whose surroundings share most
 * with the question comes first. A citation is `verified` only if what was sought stands there to the letter (folded);
 * otherwise it is the page image that the model names, or the most related place, and says so.
 */
import { timeOf, type IngestedSource, type Segment, type Times } from '../ingest/segment.js';
import type { Passage } from './passages.js';
import { fold, occurrences, type FoldedText } from './fold.js';
import { sentenceAround } from './sentences.js';
import { contentWords, findWords, rareness, stem } from './words.js';

export interface Citation {
  /** Path of the source as the user named it. */
  readonly source: string;
  /** 1-based. */
  readonly page?: number;
  /** 1-based, first and last line of the quote. */
  readonly lines?: readonly [number, number];
  /** Of a recording: seconds, from and to. */
  readonly time?: Times;
  readonly quote: string;
  /** The answer stands there to the letter; of a chat model, the quote that it gave does. Never of what was read in a picture. */
  readonly verified: boolean;
  /** The quote is what a model read in a picture, and may be misread. */
  readonly picture?: true;
}

const MAX_CITATIONS = 3;
/** Share of the best place's score that another place must reach to be cited beside it. */
const ALSO_CITED = 0.9;

interface FoldedSegment {
  readonly segment: Segment;
  readonly folded: FoldedText;
  /** Where the segment begins in its source's text. */
  readonly offset: number;
}

interface Place extends FoldedSegment {
  /** In the folded text. */
  readonly start: number;
  readonly end: number;
  readonly score: number;
}

/** How much of the question stands around [start, end): words within 90 characters count whole, within 240 half. */
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
  const source = sources[segment.source]!.source.path;
  const line = (offset: number): number => segment.line! + (segment.text.slice(0, offset).match(/\n/gu)?.length ?? 0);
  return {
    source,
    ...(segment.page === undefined ? {} : { page: segment.page }),
    ...(segment.line === undefined ? {} : { lines: [line(start), line(Math.max(start, end - 1))] as const }),
    ...(segment.time === undefined ? {} : { time: timeOf(segment, start, end)! }),
    quote,
    verified: verified && segment.fromPicture !== true,
    ...(segment.fromPicture === true ? { picture: true as const } : {}),
  };
}

/** The place that shares most words with question and answer, when the answer itself stands nowhere. */
function mostRelated(segments: readonly FoldedSegment[], weights: ReadonlyMap<string, number>): Place | null {
  let best: Place | null = null;
  for (const { segment, folded, offset } of segments) {
    const matcher = /[\p{L}\p{N}]+/gu;
    for (let match = matcher.exec(folded.text); match !== null; match = matcher.exec(folded.text)) {
      if (!weights.has(stem(match[0]))) continue;
      const end = match.index + match[0].length;
      const score = closeness(folded, match.index, end, weights);
      if (score > (best?.score ?? 0)) best = { segment, folded, offset, start: match.index, end, score };
    }
  }
  return best;
}

function findIn(segments: readonly FoldedSegment[], sought: string): Omit<Place, 'score'>[] {
  return segments.flatMap(({ segment, folded, offset }) =>
    occurrences(folded.text, sought).map((start) => ({ segment, folded, offset, start, end: start + sought.length })),
  );
}

/** Neighbours joined, for what begins on one page and ends on the next; the place is that of the first. */
function pairs(segments: readonly FoldedSegment[]): FoldedSegment[] {
  return segments.slice(1).flatMap(({ segment: next }, i) => {
    const { segment, offset } = segments[i]!;
    if (next.source !== segment.source || (segment.page !== undefined && next.page !== segment.page + 1)) return [];
    const text = segment.text + next.text;
    return [{ segment: { ...segment, text, ...joinedTimes(segment, next) }, folded: fold(text), offset }];
  });
}

function joinedTimes(first: Segment, next: Segment): Pick<Segment, 'time' | 'words'> {
  if (!first.time || !next.time) return {};
  const shifted = (next.words ?? []).map((word) => ({ ...word, at: word.at + first.text.length }));
  return { time: [first.time[0], next.time[1]], words: [...(first.words ?? []), ...shifted] };
}

function foldSegments({ segments }: IngestedSource): FoldedSegment[] {
  let offset = 0;
  return segments.map((segment) => {
    const folded = { segment, folded: fold(segment.text), offset };
    offset += segment.text.length;
    return folded;
  });
}

function liesIn({ segment, folded, offset, start }: Omit<Place, 'score'>, within: Pick<Passage, 'source' | 'from' | 'to'>): boolean {
  const at = offset + folded.origin[start]!;
  return segment.source === within.source && at >= within.from && at < within.to;
}

function sameCitation(a: Citation, b: Citation): boolean {
  return a.source === b.source && a.page === b.page && a.quote === b.quote && a.time?.[0] === b.time?.[0] && a.lines?.[0] === b.lines?.[0] && a.lines?.[1] === b.lines?.[1];
}

/** The page image that a quote was read from, as far as can be told: the only one, or the only one with the number that the model gave. */
function pageImage(sources: readonly IngestedSource[], quote: string, page: number | undefined): Citation | null {
  const seen = sources.flatMap(({ segments }) => segments.filter((segment) => segment.image && segment.page !== undefined));
  const named = page === undefined ? seen : seen.filter((segment) => segment.page === page);
  const [only, other] = named;
  return only && !other ? { source: sources[only.source]!.source.path, page: only.page!, quote, verified: false } : null;
}

/**
 * Citations for an answer, best first; none if the sources share no word with it.
 * @param needle what must stand in the source: the answer of an extractive model, or the quote that a model gave.
 * @param within where the answer was read: if it stands there, it is cited there and nowhere else.
 * @param page where the model says that it read its quote: what is used where the quote stands in no text.
 */
export function cite(question: string, needle: string, sources: readonly IngestedSource[], within?: Pick<Passage, 'source' | 'from' | 'to'>, page?: number): Citation[] {
  const segments = sources.flatMap(foldSegments);
  const rarenessHere = (words: ReadonlySet<string>): Map<string, number> => rareness(words, segments.map(({ folded }) => findWords(words, folded.text)));
  const sought = fold(needle.trim()).text.replace(/^["']+|["'.]+$/gu, '');
  const questionWords = new Set(contentWords(fold(question).text));

  const inside = findIn(segments, sought);
  const anywhere = inside.length > 0 || sought === '' ? inside : findIn(pairs(segments), sought);
  const near = within === undefined ? [] : anywhere.filter((place) => liesIn(place, within));
  const found = near.length > 0 ? near : anywhere;
  if (found.length > 0) {
    // One place needs no ranking, and counting words is what takes time in a long source.
    const weights: ReadonlyMap<string, number> = found.length === 1 ? new Map() : rarenessHere(questionWords);
    const places: Place[] = found.map((place) => ({ ...place, score: closeness(place.folded, place.start, place.end, weights) }));
    places.sort((a, b) => b.score - a.score);
    const best = places[0]!.score;
    const citations = places
      .filter((place) => place.score >= best * ALSO_CITED)
      .slice(0, MAX_CITATIONS)
      .map((place) => toCitation(place, sources, true));
    return citations.filter((citation, i) => citations.findIndex((other) => sameCitation(other, citation)) === i);
  }
  const image = pageImage(sources, needle.trim(), page);
  if (image) return [image];
  const all = rarenessHere(new Set([...questionWords, ...contentWords(fold(needle).text)]));
  const related = mostRelated(segments, all);
  return related === null ? [] : [toCitation(related, sources, false)];
}
