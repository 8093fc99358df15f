/**
 * Decoding that runs ahead of what has been read back: the device draws tokens and reads them itself, a batch of steps to a
 * submit, and one more batch is under way while a batch's tokens are looked at here. So a GPU never waits for this side, and
 * nothing but the tokens comes back.
 *
 * A step computes a position of the context before anyone knows that it is wanted. What is not wanted in the end, because the
 * text stopped before it, lies beyond the context's length, where nothing looks, and is computed again when the context goes on.
 */
import type { Command, Device, View } from '../device/device.js';
import type { Step } from '../gemma/graph.js';
import { argmax, logProbability, sample, type Sampling } from '../device/sampling.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';

export interface DrawnToken {
  readonly id: number;
  /** ln of the token's probability in the model's own distribution, before temperature and filters. */
  readonly logProb: number;
}

export interface DrawOptions {
  readonly sampling: Sampling;
  /** The drawn token's number in the text: each step draws other random numbers. */
  readonly step: number;
  /** How many tokens, this one among them, may be wanted: nothing beyond is computed. */
  readonly most: number;
  readonly signal?: AbortSignal | undefined;
}

/** Of what `SampleCommand` writes. */
const recordBytes = 8;

/** Batches under way: one that is awaited, and one behind it. */
const batches = 2;

/** Steps of a batch, at most. */
const mostSteps = 8;

/** Memory for the tokens drawn; of guesses there are fewer. */
export const drawnBytes = recordBytes * batches * mostSteps;

/** What is drawn where all logits are NaN or -Infinity. */
const noToken = 2 ** 32 - 1;

/** So many tokens that the device drew, from the record at `first` on. */
export async function drawnTokens(device: Pick<Device, 'read'>, first: View, count: number): Promise<DrawnToken[]> {
  const { buffer } = await device.read(first, count * recordBytes);
  const [ids, floats] = [new Uint32Array(buffer), new Float32Array(buffer)];
  return Array.from({ length: count }, (_, i) => ({ id: ids[2 * i]!, logProb: floats[2 * i + 1]! }));
}

/** Errors: LodestoneError(badModel) where the logits are no numbers. */
export function checked(drawn: DrawnToken): DrawnToken {
  if (drawn.id === noToken) throw notNumbers();
  return drawn;
}

/** Where the record of a number lies, if the first lies at `records`. */
export function drawnRecord({ buffer, offset }: View, index: number): View {
  return { buffer, offset: offset + index * recordBytes };
}

/** A token drawn here. @param allowed ids that may be; the probability is the model's own, among all */
export function drawHere(logits: Float32Array, sampling: Sampling, step: number, allowed?: (id: number) => boolean): DrawnToken {
  if (!(logits[argmax(logits)]! > -Infinity)) throw notNumbers();
  const permitted = allowed ? logits.map((logit, id) => (allowed(id) ? logit : -Infinity)) : logits;
  const id = sample(permitted, sampling, step);
  return { id, logProb: logProbability(logits, id) };
}

function notNumbers(): LodestoneError {
  return new LodestoneError(ExitCode.badModel, "the model's logits are not numbers; are its weights damaged?");
}

interface Batch {
  readonly tokens: Promise<readonly DrawnToken[]>;
  readonly count: number;
}

export interface AheadPlace {
  readonly device: Pick<Device, 'decodeSteps' | 'submit' | 'read' | 'write'>;
  /** `drawnBytes` of memory. */
  readonly records: View;
  /** The most positions that may be computed beyond the context's length, at least 1. */
  readonly room: number;
  /** Positions that the context may have. */
  readonly maxPositions: number;
  /** The commands of a batch. What they need, but for the tokens, is written before. */
  record(steps: readonly Step[], sampling: Sampling): readonly Command[];
}

/** What the next draw depends on: the token handed out last, where it stands in the context, and the number in the text of the one after it. */
export class DrawPoint {
  readonly sampling: Sampling;
  readonly signal: AbortSignal | undefined;
  position: number;
  token: number;
  step: number;

  constructor(position: number, token: number, { sampling, step, signal }: DrawOptions) {
    [this.position, this.token, this.step, this.sampling, this.signal] = [position, token, step, sampling, signal];
  }

  is(position: number, token: number, { sampling, step, signal }: DrawOptions): boolean {
    return position === this.position && token === this.token && step === this.step && sampling === this.sampling && signal === this.signal;
  }

  /** To the token that was drawn here. */
  advance({ id }: DrawnToken): void {
    this.position++;
    this.step++;
    this.token = id;
  }
}

export class DrawAhead {
  readonly #place: AheadPlace;
  /** Its signal ends what is under way. */
  readonly #at: DrawPoint;
  /** Steps of a batch, and batches under way. */
  readonly #size: number;
  readonly #depth: number;
  #batches: Batch[] = [];
  /** Of the first batch: tokens handed out. */
  #taken = 0;
  /** Steps submitted whose tokens have not been handed out. */
  #ahead = 0;
  /** Batches submitted, and where the last drawn token lies. */
  #submitted = 0;
  #lastRecord: View;

  constructor(place: AheadPlace, position: number, token: number, options: DrawOptions) {
    this.#place = place;
    this.#at = new DrawPoint(position, token, options);
    const size = Math.min(place.device.decodeSteps, mostSteps, Math.floor(place.room / batches));
    this.#size = Math.max(1, size);
    this.#depth = size > 1 ? batches : 1;
    this.#lastRecord = this.#record(batches * mostSteps - 1);
    place.device.write(this.#lastRecord, Uint32Array.of(token));
  }

  /** Whether the token that follows `token` at `position` is under way here. */
  continues(position: number, token: number, options: DrawOptions): boolean {
    return this.#ahead > 0 && this.#at.is(position, token, options);
  }

  /** Errors: the signal's reason, what the device failed with, LodestoneError(badModel) where the logits are no numbers. */
  async next(most: number): Promise<DrawnToken> {
    const { signal, position } = this.#at;
    if (signal?.aborted) throw abortError(signal);
    const wanted = Math.min(most, this.#place.maxPositions - position);
    while (this.#ahead < wanted && this.#batches.length < this.#depth) this.#submit(Math.min(this.#size, wanted - this.#ahead));
    const batch = this.#batches[0]!;
    const drawn = checked((await batch.tokens)[this.#taken]!);
    if (++this.#taken === batch.count) {
      this.#batches.shift();
      this.#taken = 0;
    }
    this.#ahead--;
    this.#at.advance(drawn);
    return drawn;
  }

  #submit(count: number): void {
    const { device } = this.#place;
    const { position, step, sampling, signal } = this.#at;
    // Batches take turns with the two halves of the records.
    const first = (this.#submitted++ % batches) * mostSteps;
    const steps: Step[] = [];
    for (let i = 0; i < count; i++) {
      const drawn = this.#record(first + i);
      steps.push({ position: position + this.#ahead + i, number: step + this.#ahead + i, token: this.#lastRecord, drawn });
      this.#lastRecord = drawn;
    }
    this.#ahead += count;
    const done = device.submit(this.#place.record(steps, sampling), signal);
    const read = drawnTokens(device, this.#record(first), count);
    const tokens = Promise.all([read, done]).then(([drawn]) => drawn);
    // It may never be looked at.
    tokens.catch(() => undefined);
    this.#batches.push({ tokens, count });
  }

  #record(index: number): View {
    return drawnRecord(this.#place.records, index);
  }
}
