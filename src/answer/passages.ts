/** The passages of the sources that share most words with a question, rare words counting most. No model is asked. */
import { timeOf, type IngestedSource, type Segment } from '../ingest/segment.js';
import { fold, type FoldedText } from './fold.js';
import { namesNowhere } from './names.js';
import { contentWords, findWords, rareness, type WordHits } from './words.js';

export interface Passage {
  /** Index into the sources. */
  readonly source: number;
  /** [from, to) in the source's text (its segments, concatenated). */
  readonly from: number;
  readonly to: number;
  /** What the passage covers, cut to it; each piece keeps its page, line or time. */
  readonly segments: readonly Segment[];
  /** Share of the question's words, weighted by rareness, that the passage has, less where no source knows a name of the question: 0..1. */
  readonly relevance: number;
}

export interface PassageOptions {
  /** Lengths of passages; each length is chosen for by itself. */
  readonly characters: readonly number[];
  /** The most passages of each length. */
  readonly count: number;
  /** What each word of the question (stemmed) weighs. Default: its rareness in these sources. */
  readonly weights?: ReadonlyMap<string, number>;
}

interface Window extends Pick<Passage, 'source' | 'from' | 'to'> {
  readonly score: number;
}

/** Windows begin this share of their length apart, so that no fact is cut by all of them. */
const STEP = 1 / 4;
/** Windows that overlap more than this say the same. */
const OVERLAP = 1 / 2;

/** Windows over one source's text, scored by the distinct question words in each. */
function scoredWindows(source: number, folded: FoldedText, { hits }: WordHits, weights: ReadonlyMap<string, number>, characters: number): Window[] {
  const step = Math.max(1, Math.floor(characters * STEP));
  const seen: Set<string>[] = [];
  const length = folded.origin.at(-1)!;
  for (const { word, at: index } of hits) {
    const at = folded.origin[index]!;
    const last = Math.floor(at / step);
    for (let i = Math.max(0, Math.ceil((at - characters + 1) / step)); i <= last; i++) (seen[i] ??= new Set()).add(word);
  }
  const windows: Window[] = [];
  // Only the windows that some word fell into exist in this sparse list.
  seen.forEach((words, i) => {
    let score = 0;
    for (const word of words) score += weights.get(word)!;
    windows.push({ source, from: i * step, to: Math.min(length, i * step + characters), score });
  });
  return windows;
}

/**
 * Factor of every passage's relevance where the question has a name that stands in no source: then they most likely don't know,
 * however sure and however many the readings are. Of 29 absent and 139 present questions that no measurement uses, 16 and
 * 2 had such a name.
 */
const UNKNOWN_NAME = 0.05;

/** A cut is moved to a word's end if that is no farther. */
const LONG_WORD = 40;

/** [start, end) of a segment, with its own line and time. */
function piece(segment: Segment, start: number, end: number): Segment {
  const skipped = segment.text.slice(0, start).match(/\n/gu)?.length ?? 0;
  const { words: _, ...rest } = segment;
  const time = timeOf(segment, start, end);
  return { ...rest, text: segment.text.slice(start, end), ...(segment.line === undefined ? {} : { line: segment.line + skipped }), ...(time ? { time } : {}) };
}

/** The segments of one source cut to [from, to) of its text, to the character or, with `atWords`, at words where that is near. */
export function cutSegments(segments: readonly Segment[], from: number, to: number, atWords: boolean): Segment[] {
  const pieces: Segment[] = [];
  let offset = 0;
  for (const segment of segments) {
    let start = Math.max(0, from - offset);
    let end = Math.min(segment.text.length, to - offset);
    offset += segment.text.length;
    if (start >= end) continue;
    if (atWords && start > 0) start += Math.max(0, segment.text.slice(start, start + LONG_WORD).search(/\s/u));
    if (atWords && end < segment.text.length) end -= /\S*$/u.exec(segment.text.slice(Math.max(start, end - LONG_WORD), end))![0].length;
    if (start < end) pieces.push(piece(segment, start, end));
  }
  return pieces;
}

/** The best windows, best first, none of which says mostly the same as a better one. */
function chooseWindows(windows: readonly Window[], characters: number, count: number): Window[] {
  const chosen: Window[] = [];
  for (const window of [...windows].sort((a, b) => b.score - a.score)) {
    if (chosen.length === count || window.score === 0) break;
    const shared = (other: Window): number => Math.min(other.to, window.to) - Math.max(other.from, window.from);
    if (chosen.some((other) => other.source === window.source && shared(other) > characters * OVERLAP)) continue;
    chosen.push(window);
  }
  return chosen;
}

/** Best first within each length; fewer than asked for where fewer share any word with the question. */
export function relatedPassages(question: string, sources: readonly IngestedSource[], options: PassageOptions): Passage[] {
  const folded = sources.map(({ segments }) => fold(segments.map((segment) => segment.text).join('')));
  const texts = folded.map(({ text }) => text);
  const asked = new Set(options.weights?.keys() ?? contentWords(fold(question).text));
  const found = texts.map((text) => findWords(asked, text));
  const weights = options.weights ?? rareness(asked, found);
  const total = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return [];
  const factor = namesNowhere(question, texts).length > 0 ? UNKNOWN_NAME : 1;
  return options.characters.flatMap((characters) => {
    const windows = folded.flatMap((text, source) => scoredWindows(source, text, found[source]!, weights, characters));
    return chooseWindows(windows, characters, options.count).map(({ source, from, to, score }) => ({
      source,
      from,
      to,
      segments: cutSegments(sources[source]!.segments, from, to, true),
      relevance: (factor * score) / total,
    }));
  });
}
