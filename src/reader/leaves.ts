/**
 * Leaves: the pieces of the sources that are read or left unread, about 512 tokens each. They follow the segments, so that
 * what is read keeps its page, line or time; a segment too long for a leaf, such as a full page of a PDF, is cut between
 * paragraphs, else sentences, else words.
 */
import type { IngestedSource, Segment } from '../ingest/segment.js';
import { cutSegments } from '../answer/passages.js';
import { upperBound } from '../upper-bound.js';

export interface Leaf {
  /** Index into the sources. */
  readonly source: number;
  /** [from, to) in the source's text: its segments, concatenated. */
  readonly from: number;
  readonly to: number;
}

/** The most characters of a leaf: about 512 tokens of English. */
export const leafCharacters = 2048;

/** Where a text of more than `most` characters is cut: behind the last paragraph, sentence or word of its second half. */
function cutPlace(text: string, from: number, most: number): number {
  const end = from + most;
  const half = text.slice(from + Math.floor(most / 2), end);
  for (const boundary of [/\n\s*\n/gu, /[.!?]["'\u2019\u201d)\]]*\s/gu, /\s/gu]) {
    const last = [...half.matchAll(boundary)].at(-1);
    if (last) return from + Math.floor(most / 2) + last.index + last[0].length;
  }
  // Half of a surrogate pair is no character.
  return /[\ud800-\udbff]/u.test(text[end - 1]!) ? end - 1 : end;
}

function leavesOf({ segments }: Pick<IngestedSource, 'segments'>, source: number, most: number): Leaf[] {
  const leaves: Leaf[] = [];
  let from = 0;
  let to = 0;
  const flush = (): void => {
    if (to > from) leaves.push({ source, from, to });
    from = to;
  };
  for (const { text, page } of segments) {
    // A page is cited as a whole: it shares no leaf with another.
    if (page !== undefined || to - from + text.length > most) flush();
    let at = 0;
    while (text.length - at > most) {
      at = cutPlace(text, at, most);
      leaves.push({ source, from: to, to: from + at });
      to = from + at;
    }
    if (at > 0) from = to;
    to += text.length - at;
    if (page !== undefined) flush();
  }
  flush();
  return leaves;
}

/** The leaves of all sources in order; they cover every character once. Images have no text and are in no leaf. */
export function cutLeaves(sources: readonly Pick<IngestedSource, 'segments'>[], most = leafCharacters): Leaf[] {
  return sources.flatMap((entry, source) => leavesOf(entry, source, most));
}

function withoutImage(segment: Segment): Segment {
  const { image: _, ...rest } = segment;
  return rest;
}

/** Gives the text and the segments of leaves. */
export class LeafTexts {
  /** Of each source, where its segments begin in its text. */
  readonly #starts: readonly Float64Array[];

  constructor(
    private readonly sources: readonly Pick<IngestedSource, 'segments'>[],
    readonly leaves: readonly Leaf[],
  ) {
    this.#starts = sources.map(({ segments }) => {
      const starts = new Float64Array(segments.length + 1);
      for (const [i, { text }] of segments.entries()) starts[i + 1] = starts[i]! + text.length;
      return starts;
    });
  }

  text(leaf: number): string {
    const { source, from, to } = this.leaves[leaf]!;
    const { first, last } = this.#overlapped(source, from, to);
    const start = this.#starts[source]![first]!;
    const whole = this.sources[source]!.segments.slice(first, last).map(({ text }) => text).join('');
    return whole.slice(from - start, to - start);
  }

  /** The part [from, to) of a source's text as segments that keep their page, line or time; of a page that has an image too, the text alone. */
  segments(source: number, from: number, to: number): Segment[] {
    const { first, last } = this.#overlapped(source, from, to);
    const start = this.#starts[source]![first]!;
    return cutSegments(this.sources[source]!.segments.slice(first, last), from - start, to - start, false).map(withoutImage);
  }

  /** Segments that [from, to) touches: [first, last). */
  #overlapped(source: number, from: number, to: number): { readonly first: number; readonly last: number } {
    const starts = this.#starts[source]!;
    let first = Math.max(0, upperBound(starts, from) - 1);
    // Segments without text lie at one place; the last of them that does is meant.
    first = Math.min(first, starts.length - 2);
    let last = first;
    while (last < starts.length - 1 && starts[last]! < to) last++;
    return { first, last };
  }
}
