/**
 * SentencePiece's BPE with byte fallback, from a list of pieces alone: neighbours are joined whose concatenation is a
 * piece, that of the lowest id first, the leftmost of several. That is what a `tokenizer.json` says with merges; Gemma's
 * has half a million of them, and making and reading those takes seconds.
 * Source: Kudo and Richardson 2018 (arXiv 1808.06226), llama.cpp `llama-vocab.cpp` (SPM).
 */

/** SentencePiece's space. */
export const space = '\u2581';

export interface PieceList {
  /** Pieces that joining may yield, and single characters -> id. A lower id is a better score. */
  readonly pieces: ReadonlyMap<string, number>;
  /** Tokens that are found in the text as they stand, before anything is joined, the longest first -> id. */
  readonly added: ReadonlyMap<string, number>;
  /** Ids of the 256 bytes, for characters that are no piece. */
  readonly bytes: readonly number[];
  /** Token of every id, spaces as U+2581. */
  readonly tokens: readonly string[];
  /** Ids that decoding leaves out. */
  readonly skipped: ReadonlySet<number>;
}

/** Words whose ids are kept; then all are dropped. */
const cacheWords = 100_000;

export class PieceTokenizer {
  readonly #list: PieceList;
  /** First character of the added tokens -> the lengths that they have, the longest first. */
  readonly #addedLengths = new Map<string, number[]>();
  readonly #longestPiece: number;
  readonly #byteOf = new Map<number, number>();
  /** No piece has a space after something else: so a text may be cut there without changing a token. */
  readonly #cutsAtSpaces: boolean;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(list: PieceList) {
    this.#list = list;
    for (const token of list.added.keys()) {
      const first = token[0]!;
      const lengths = this.#addedLengths.get(first) ?? [];
      if (!lengths.includes(token.length)) lengths.push(token.length);
      this.#addedLengths.set(first, lengths.sort((a, b) => b - a));
    }
    let longest = 1;
    let cuts = true;
    for (const piece of list.pieces.keys()) {
      if (piece.length > longest) longest = piece.length;
      if (piece.lastIndexOf(space) > 0) cuts &&= /^\u2581*[^\u2581]*$/u.test(piece);
    }
    this.#longestPiece = longest;
    this.#cutsAtSpaces = cuts;
    for (const [byte, id] of list.bytes.entries()) this.#byteOf.set(id, byte);
  }

  encode(text: string): number[] {
    const ids: number[] = [];
    let from = 0;
    for (let at = 0; at < text.length; ) {
      const length = this.#addedAt(text, at);
      if (length === 0) {
        at++;
        continue;
      }
      this.#encodeSegment(text.slice(from, at), ids);
      ids.push(this.#list.added.get(text.slice(at, at + length))!);
      at += length;
      from = at;
    }
    this.#encodeSegment(text.slice(from), ids);
    return ids;
  }

  /** Length of the longest added token that begins here; 0 if none does. */
  #addedAt(text: string, at: number): number {
    for (const length of this.#addedLengths.get(text[at]!) ?? []) {
      if (at + length <= text.length && this.#list.added.has(text.slice(at, at + length))) return length;
    }
    return 0;
  }

  /** Text between added tokens. Runs of spaces are tokens too, and are joined before anything else. */
  #encodeSegment(segment: string, ids: number[]): void {
    const text = segment.replaceAll(' ', space);
    let from = 0;
    for (const { index, 0: run } of text.matchAll(/\u2581{2,}/gu)) {
      let taken = 0;
      for (;;) {
        const length = this.#addedAt(run, taken);
        if (length === 0) break;
        if (taken === 0) this.#encodeWords(text.slice(from, index), ids);
        ids.push(this.#list.added.get(run.slice(taken, taken + length))!);
        taken += length;
      }
      if (taken > 0) from = index + taken;
    }
    this.#encodeWords(text.slice(from), ids);
  }

  #encodeWords(text: string, ids: number[]): void {
    const words = this.#cutsAtSpaces ? text.match(/\u2581*[^\u2581]+|\u2581+/gu) : [text];
    for (const word of words ?? []) {
      let found = this.#cache.get(word);
      if (found === undefined) {
        found = this.#join(word);
        if (this.#cache.size >= cacheWords) this.#cache.clear();
        // A slice keeps the text that it was cut from alive.
        if (word.length < 64) this.#cache.set(Buffer.from(word).toString(), found);
      }
      for (const id of found) ids.push(id);
    }
  }

  #join(word: string): number[] {
    if (word === '') return [];
    const { pieces } = this.#list;
    // Symbols: characters at first. Symbol i is word[start[i] .. end[i]]; `next` and `previous` skip those joined away.
    const start: number[] = [];
    for (let at = 0; at < word.length; at += word.codePointAt(at)! > 0xffff ? 2 : 1) start.push(at);
    const count = start.length;
    const end = Uint32Array.from({ length: count }, (_, i) => start[i + 1] ?? word.length);
    const next = Uint32Array.from({ length: count }, (_, i) => i + 1);
    const previous = Int32Array.from({ length: count }, (_, i) => i - 1);
    /** Id that symbol i and the next one would make; -1: none. */
    const joined = new Int32Array(count).fill(-1);
    const heap = new Heap();
    const consider = (i: number): void => {
      const j = next[i]!;
      const to = j < count ? end[j]! : 0;
      const id = j < count && to - start[i]! <= this.#longestPiece ? pieces.get(word.slice(start[i], to)) : undefined;
      joined[i] = id ?? -1;
      if (id !== undefined) heap.push(id * 2 ** 32 + i);
    };
    for (let i = 0; i + 1 < count; i++) consider(i);
    for (let key = heap.pop(); key !== undefined; key = heap.pop()) {
      const i = key % 2 ** 32;
      if (joined[i] !== (key - i) / 2 ** 32) continue; // changed since
      const j = next[i]!;
      end[i] = end[j]!;
      next[i] = next[j]!;
      if (next[i] < count) previous[next[i]] = i;
      joined[j] = -1;
      consider(i);
      if (previous[i]! >= 0) consider(previous[i]!);
    }
    const ids: number[] = [];
    for (let i = 0; i < count; i = next[i]!) this.#pushSymbol(word.slice(start[i], end[i]), ids);
    return ids;
  }

  #pushSymbol(symbol: string, ids: number[]): void {
    const { pieces, bytes } = this.#list;
    const id = pieces.get(symbol);
    if (id !== undefined) ids.push(id);
    else for (const byte of Buffer.from(symbol)) ids.push(bytes[byte]!);
  }

  /** Bytes that are no UTF-8 are U+FFFD. */
  decode(ids: readonly number[]): string {
    let out = '';
    let waiting: number[] = [];
    const flush = (): void => {
      if (waiting.length > 0) out += Buffer.from(waiting).toString('utf8');
      waiting = [];
    };
    for (const id of ids) {
      if (this.#list.skipped.has(id)) continue;
      const byte = this.#byteOf.get(id);
      if (byte !== undefined) {
        waiting.push(byte);
        continue;
      }
      flush();
      out += (this.#list.tokens[id] ?? '').replaceAll(space, ' ');
    }
    flush();
    return out;
  }
}

/** Numbers, the smallest first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= last) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return first;
  }
}
