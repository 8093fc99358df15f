/**
 * Guesses at what comes next, from the text itself (prompt lookup, Saxena 2023): where the latest tokens have stood before, what
 * followed them then may follow again. Who quotes a source says what stands in the context.
 *
 * Guesses are read in one pass with the token before them, since a pass over the weights costs little more for a few tokens than
 * for one, and a token is drawn after each. As long as what is drawn is what was guessed, the draws after it are those that would
 * have been made one by one: same logits, same random numbers. So guesses change no text, and a wrong one costs a little time.
 */
import { checked, DrawPoint, type DrawnToken, type DrawOptions } from './draw-ahead.js';

/** The most tokens guessed at a time: with one more they are as many rows as products with quantised weights take at once. */
export const mostGuesses = 3;

/** Equal tokens that are looked at: those of a longer match are guessed no better. */
const longest = 8;

/**
 * What may follow `ids`: what followed the longest of its ends that stands in it before, of equals the last. One token where two
 * are equal, one more for each more. @param most how many may be wanted
 */
export function guess(ids: Uint32Array, most: number): Uint32Array {
  const end = ids.length;
  let [best, place] = [1, 0];
  for (let at = end - 1; at > 0 && best < longest; at--) {
    if (ids[at - 1] !== ids[end - 1] || ids[at - 1 - best] !== ids[end - 1 - best]) continue;
    let equal = 1;
    while (equal < longest && equal < at && ids[at - 1 - equal] === ids[end - 1 - equal]) equal++;
    if (equal > best) [best, place] = [equal, at];
  }
  return ids.slice(place, Math.min(end, place + Math.min(most, mostGuesses, best - 1)));
}

/** Draws that were made already, handed out one by one. */
export class CheckedGuesses {
  readonly #at: DrawPoint;
  #drawn: readonly DrawnToken[];

  /** @param drawn what was drawn after `token` at `position`, and after each of `guesses` behind it */
  constructor(position: number, token: number, guesses: Uint32Array, drawn: readonly DrawnToken[], options: DrawOptions) {
    const wrong = drawn.findIndex(({ id }, i) => id !== guesses[i]);
    this.#drawn = drawn.slice(0, wrong + 1);
    this.#at = new DrawPoint(position, token, options);
  }

  continues(position: number, token: number, options: DrawOptions): boolean {
    return this.#drawn.length > 0 && this.#at.is(position, token, options);
  }

  /** Errors: LodestoneError(badModel) where the logits are no numbers. */
  async next(): Promise<DrawnToken> {
    const [drawn, ...rest] = this.#drawn;
    this.#drawn = rest;
    this.#at.advance(drawn!);
    return checked(drawn!);
  }
}
