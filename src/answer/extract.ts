/**
 * An extractive model's answer is a slice of what it read. Decoding is held to that: a token may follow only where it
 * follows in the documents, so an answer can't drift from one place into another, or into words that stand nowhere.
 */

/** The places in `documents` where what was generated so far stands. */
export class Slices {
  readonly #documents: Uint32Array;
  /** Where nothing is generated yet, anything that stands somewhere may come. */
  readonly #vocabulary: Uint8Array;
  /** 1 for every id that continues one of the slices; asked for each id of the vocabulary before each token. */
  #allowed: Uint8Array;
  /** Where the next token would be read; null: nothing was generated, so anywhere. */
  #next: number[] | null = null;

  /** `documents`: token ids below `vocabSize`. */
  constructor(documents: Uint32Array, vocabSize: number) {
    this.#documents = documents;
    this.#vocabulary = new Uint8Array(vocabSize);
    for (const id of documents) this.#vocabulary[id] = 1;
    this.#allowed = this.#vocabulary;
  }

  /** Forgets what was generated, for another answer about the same documents. */
  restart(): void {
    this.#next = null;
    this.#allowed = this.#vocabulary;
  }

  /** Whether `id` continues one of the slices. */
  has(id: number): boolean {
    return this.#allowed[id] === 1;
  }

  /** Takes `id` as the next token. */
  push(id: number): void {
    const next: number[] = [];
    if (this.#next === null) {
      for (let at = this.#documents.indexOf(id); at >= 0; at = this.#documents.indexOf(id, at + 1)) next.push(at + 1);
    } else {
      for (const at of this.#next) if (this.#documents[at] === id) next.push(at + 1);
    }
    this.#next = next;
    this.#allowed = new Uint8Array(this.#vocabulary.length);
    for (const at of next) if (at < this.#documents.length) this.#allowed[this.#documents[at]!] = 1;
  }
}
