/**
 * BM25 (Robertson and Zaragoza, 2009, with k1 1.2 and b 0.75) over leaves, as plain data in typed arrays: one list of
 * postings for each term, one after another.
 */
import { fold } from '../answer/fold.js';
import { isStopWord, stem } from '../answer/words.js';
import { upperBound } from '../upper-bound.js';

export interface Bm25Index {
  readonly leaves: number;
  /** Stemmed words, each once. Its index is the term's number. */
  readonly terms: readonly string[];
  /** [terms + 1]: where each term's postings begin. */
  readonly starts: Uint32Array;
  /** Of each posting the leaf, ascending within a term, and how often the term stands there (255: that or more). */
  readonly postings: Uint32Array;
  readonly counts: Uint8Array;
  /** Of each leaf, how many words carry meaning. */
  readonly lengths: Uint32Array;
}

const K1 = 1.2;
const B = 0.75;

/** Grows by doubling. */
class Numbers {
  data = new Uint32Array(1024);
  length = 0;

  push(value: number): void {
    if (this.length === this.data.length) {
      const larger = new Uint32Array(2 * this.length);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }
}

const STOP = -1;

/** Numbers terms as they come. What a word is folded to is looked up, not computed, from the second time on. */
class Vocabulary {
  readonly terms: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #ofWord = new Map<string, number>();

  number(word: string): number {
    const known = this.#ofWord.get(word);
    if (known !== undefined) return known;
    const made = isStopWord(word) ? STOP : this.#add(stem(word));
    this.#ofWord.set(word, made);
    return made;
  }

  #add(term: string): number {
    const known = this.#numbers.get(term);
    if (known !== undefined) return known;
    this.#numbers.set(term, this.terms.length);
    this.terms.push(term);
    return this.terms.length - 1;
  }
}

/** A joined word longer than this is no word: base64, a table's line, DNA. It is left out. */
const LONGEST_WORD = 64;

/** @param texts of the leaves. Each is looked at once. */
export function buildIndex(texts: Iterable<string>): Bm25Index {
  const vocabulary = new Vocabulary();
  // Postings in the order of leaves: term, leaf, count.
  const found = new Numbers();
  const lengths = new Numbers();
  const counted = new Map<number, number>();
  for (const text of texts) {
    counted.clear();
    let length = 0;
    for (const word of fold(text).text.match(/[\p{L}\p{N}]+/gu) ?? []) {
      if (word.length > LONGEST_WORD) continue;
      const term = vocabulary.number(word);
      if (term === STOP) continue;
      counted.set(term, (counted.get(term) ?? 0) + 1);
      length++;
    }
    for (const [term, count] of counted) {
      found.push(term);
      found.push(lengths.length);
      found.push(Math.min(255, count));
    }
    lengths.push(length);
  }
  return { leaves: lengths.length, terms: vocabulary.terms, lengths: lengths.data.slice(0, lengths.length), ...byTerm(found, vocabulary.terms.length) };
}

/** Sorts postings by term; those of one term stay in the order of leaves. */
function byTerm(found: Numbers, terms: number): Pick<Bm25Index, 'starts' | 'postings' | 'counts'> {
  const total = found.length / 3;
  const starts = new Uint32Array(terms + 1);
  for (let i = 0; i < found.length; i += 3) starts[found.data[i]! + 1]!++;
  for (let term = 0; term < terms; term++) starts[term + 1]! += starts[term]!;
  const next = starts.slice(0, terms);
  const postings = new Uint32Array(total);
  const counts = new Uint8Array(total);
  for (let i = 0; i < found.length; i += 3) {
    const place = next[found.data[i]!]!++;
    postings[place] = found.data[i + 1]!;
    counts[place] = found.data[i + 2]!;
  }
  return { starts, postings, counts };
}

export interface Hit {
  readonly leaf: number;
  readonly score: number;
}

/** How much finding a word tells: ln(1 + (N - n + 0.5) / (n + 0.5)), where n of N leaves have it. */
export function inverseFrequency(leaves: number, having: number): number {
  return Math.log(1 + (leaves - having + 0.5) / (having + 0.5));
}

/** Searches one index. Terms are looked up by a map that is made once. */
export class Bm25 {
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #average: number;
  readonly #scores: Float64Array;

  constructor(readonly index: Bm25Index) {
    this.#numbers = new Map(index.terms.map((term, i) => [term, i]));
    const total = index.lengths.reduce((sum, length) => sum + length, 0);
    this.#average = Math.max(1, total / Math.max(1, index.leaves));
    this.#scores = new Float64Array(index.leaves);
  }

  /** In how many leaves a stemmed word stands. */
  leavesWith(term: string): number {
    const number = this.#numbers.get(term);
    return number === undefined ? 0 : this.index.starts[number + 1]! - this.index.starts[number]!;
  }

  /** Whether a stemmed word stands in a leaf. */
  stands(term: string, leaf: number): boolean {
    const number = this.#numbers.get(term);
    if (number === undefined) return false;
    const { starts, postings } = this.index;
    const own = postings.subarray(starts[number], starts[number + 1]);
    return own[upperBound(own, leaf) - 1] === leaf;
  }

  rareness(term: string): number {
    return inverseFrequency(this.index.leaves, this.leavesWith(term));
  }

  /** Leaves that have any of the terms (stemmed words, each once), the best first; of equals, in the sources' order. At most `count`. */
  search(terms: Iterable<string>, count: number): Hit[] {
    const { starts, postings, counts, lengths } = this.index;
    const scores = this.#scores;
    const touched: number[] = [];
    for (const term of terms) {
      const number = this.#numbers.get(term);
      if (number === undefined) continue;
      const weight = this.rareness(term);
      for (let i = starts[number]!; i < starts[number + 1]!; i++) {
        const leaf = postings[i]!;
        const frequency = counts[i]!;
        if (scores[leaf] === 0) touched.push(leaf);
        scores[leaf]! += (weight * frequency * (K1 + 1)) / (frequency + K1 * (1 - B + (B * lengths[leaf]!) / this.#average));
      }
    }
    const best = largest(touched, scores, count);
    for (const leaf of touched) scores[leaf] = 0;
    return best;
  }
}

/** The `count` leaves with the largest scores, in order. */
function largest(leaves: readonly number[], scores: Float64Array, count: number): Hit[] {
  let pool = leaves.map((leaf) => ({ leaf, score: scores[leaf]! }));
  if (pool.length > 4 * count) {
    // Sorting everything that shares a common word takes longer than finding where the best begin.
    const least = scoreOfRank(pool, count);
    pool = pool.filter(({ score }) => score >= least);
  }
  return pool.sort((a, b) => b.score - a.score || a.leaf - b.leaf).slice(0, count);
}

function scoreOfRank(pool: readonly Hit[], rank: number): number {
  return Float64Array.from(pool, ({ score }) => score).sort()[pool.length - rank]!;
}
