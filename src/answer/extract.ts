/**
 * An extractive model's answer is a slice of what it read. Decoding is held to that: a token may follow only where it
 * follows in the documents, so an answer can't drift from one place into another, or into words that stand nowhere.
 */

/** The places in `documents` where what was generated so far stands. */
export class Slices {
  readonly #documents: Uint32Array;
  readonly #vocabulary: Uint8Array;
  /** Where the next token would be read; null: nothing was generated, so anywhere. */
  #next: number[] | null = null;

  /** `documents`: token ids below `vocabSize`. */
  constructor(documents: Uint32Array, vocabSize: number) {
    this.#documents = documents;
    this.#vocabulary = new Uint8Array(vocabSize);
    for (const id of documents) this.#vocabulary[id] = 1;
  }

  /** Whether `id` continues one of the slices. */
  has(id: number): boolean {
    if (this.#next === null) return this.#vocabulary[id] === 1;
    return this.#next.some((at) => this.#documents[at] === id);
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
  }
}
