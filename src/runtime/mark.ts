/** Marks: places in a context to come back to. */
import type { KvRows } from './kv.js';

/**
 * What a context must remember to go on from a place as if it had read nothing since: its rings, whose slots later
 * positions take. The pages of global layers stay where they are, so a mark is as small as the windows of the local
 * layers, and belongs to the context that made it.
 */
export interface Mark {
  /** Positions in the context. */
  readonly length: number;
  /** Of them, those that have been through the graph (see context.ts). */
  readonly computed: number;
  /** Per layer: K and V from this position on are stored. */
  readonly storedFrom: readonly number[];
  /** Per layer, null for a global one: K and V of the positions that a query at `computed` or later can see. */
  readonly rings: readonly (KvRows | null)[];
  /** Of the rings' content. */
  readonly bytes: number;
}

/** When something of which positions was written over, so that a mark can tell whether what it relies on is still there. */
export class Rewrites {
  #clock = 0;
  /** Both numbers rise from entry to entry. */
  readonly #entries: { readonly time: number; readonly from: number }[] = [];

  /** A time after everything so far. */
  now(): number {
    return this.#clock;
  }

  /** Positions from `from` on are written over. */
  record(from: number): void {
    while (this.#entries.length > 0 && this.#entries.at(-1)!.from >= from) this.#entries.pop();
    this.#entries.push({ time: ++this.#clock, from });
  }

  /** The lowest position written over since a time; Infinity if there is none. */
  lowestSince(time: number): number {
    return this.#entries.find((entry) => entry.time > time)?.from ?? Infinity;
  }
}
