/** A speech model, loaded: windows of sound to what the decoder looks at, tokens to logits. */
import type { Device, DeviceBuffer, KvCache, View } from '../device/device.js';
import { kvPageBytes } from '../device/kvLayout.js';
import { openTokenizer, type Tokenizer } from '../encode/tokenizer.js';
import { abortError } from '../errors.js';
import type { SpeechConfig } from './config.js';
import { openSpeechFiles } from './files.js';
import { recordCross, recordDecoder, recordEncoder, type DecoderViews, type EncoderViews, type SpeechActivations } from './graph.js';
import { loadSpeechWeights, taps, type LoadedSpeech } from './weights.js';

/** Tokens that go through the decoder at a time. */
const chunk = 32;
/** The most rows of logits that one call gives. */
export const mostLogitRows = 4;

/** What transcribing needs of a model. */
export type Recogniser = Pick<SpeechModel, 'config' | 'tokenizer' | 'listen' | 'decode' | 'alignment'>;

export class SpeechModel {
  readonly config: SpeechConfig;
  readonly #device: Device;
  readonly #loaded: LoadedSpeech;
  readonly #activations: SpeechActivations;
  readonly #encoder: EncoderViews;
  readonly #decoder: DecoderViews;
  readonly #buffers: DeviceBuffer[] = [];

  /** Errors: LodestoneError(outOfMemory). */
  constructor(
    device: Device,
    config: SpeechConfig,
    loaded: LoadedSpeech,
    readonly tokenizer: Tokenizer,
  ) {
    this.#device = device;
    this.config = config;
    this.#loaded = loaded;
    const { width, sourcePositions: n, melBands, vocabSize } = config;
    const buffer = (bytes: number, label: string): DeviceBuffer => {
      const made = device.createBuffer(bytes, label);
      this.#buffers.push(made);
      return made;
    };
    const rows = (count: number, elements: number, label: string): View => ({ buffer: buffer(count * elements * Float32Array.BYTES_PER_ELEMENT, label), offset: 0 });
    const cache = (positions: number, heads: number, label: string): KvCache => {
      const page = { format: 'f32', ring: false, pageSlots: positions, kvHeads: heads, headDim: width / heads } as const;
      return { ...page, pages: [{ k: buffer(kvPageBytes(page), `keys of ${label}`), v: buffer(kvPageBytes(page), `values of ${label}`) }] };
    };
    const most = Math.max(n, chunk);
    try {
      this.#activations = {
        x: rows(most, width, 'residual stream of the speech model'),
        normed: rows(most, width, 'normed residual stream of the speech model'),
        q: rows(most, width, 'queries of the speech model'),
        k: rows(most, width, 'keys of the speech model'),
        v: rows(most, width, 'values of the speech model'),
        attended: rows(most, width, 'attention results of the speech model'),
        branch: rows(most, width, 'branch output of the speech model'),
        hidden: rows(most, Math.max(config.encoderHidden, config.decoderHidden), 'hidden layer of the speech model'),
      };
      this.#encoder = {
        mel: rows(2 * n, melBands, 'log-mel'),
        unfolded: rows(n, taps * Math.max(2 * melBands, width), 'what the convolutions read'),
        convolved: rows(2 * n, width, 'result of the first convolution'),
        cache: cache(n, config.encoderHeads, 'the sound'),
      };
      const layers = Array.from({ length: config.decoderLayers });
      this.#decoder = {
        ids: rows(chunk, 1, 'token ids of the speech model'),
        logits: rows(mostLogitRows, vocabSize, 'logits of the speech model'),
        self: layers.map(() => cache(config.targetPositions, config.decoderHeads, 'what was written')),
        cross: layers.map(() => cache(n, config.decoderHeads, 'what was heard')),
      };
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Listens to a window: what `decode` looks at from now on.
   * @param mel f32 [2 * sourcePositions, melBands] (`LogMel.features`)
   * Errors: the signal's reason.
   */
  async listen(mel: Float32Array, signal?: AbortSignal): Promise<void> {
    const { config } = this;
    const { weights } = this.#loaded;
    const expected = 2 * config.sourcePositions * config.melBands;
    if (mel.length !== expected) throw new RangeError(`a window is ${expected} numbers here, not ${mel.length}`);
    this.#device.write(this.#encoder.mel, mel);
    for (const commands of recordEncoder(config, weights, this.#activations, this.#encoder)) await this.#submit(commands, signal);
    const cross = weights.decoder.flatMap((layer, i) => recordCross(config, layer, this.#activations, this.#activations.normed, this.#decoder.cross[i]!));
    await this.#submit(cross, signal);
  }

  /** For tests: the encoder's result for the window [sourcePositions, width]. */
  encoded(): Promise<Float32Array> {
    return this.#read(this.#activations.normed, this.config.sourcePositions * this.config.width);
  }

  /**
   * Reads tokens at positions `start` and following, after those that were read before `start`.
   * @returns logits of the last `logitRows` tokens (at most `mostLogitRows`), one row each
   * Errors: the signal's reason.
   */
  async decode(tokens: readonly number[], start: number, logitRows = 1, signal?: AbortSignal): Promise<Float32Array[]> {
    const { config } = this;
    if (start + tokens.length > config.targetPositions) throw new RangeError(`${start + tokens.length} tokens are more than the ${config.targetPositions} that the speech model holds`);
    if (logitRows > Math.min(mostLogitRows, tokens.length)) throw new RangeError(`logits of ${logitRows} of ${tokens.length} tokens`);
    const rowsAtOnce = Math.min(chunk, config.sourcePositions);
    // The rows whose logits are wanted go through together.
    const last = Math.max(0, tokens.length - rowsAtOnce);
    for (let from = 0; from < tokens.length; ) {
      const to = from < last ? Math.min(last, from + rowsAtOnce) : tokens.length;
      this.#writeIds(tokens.slice(from, to));
      const step = { start: start + from, rows: to - from, logitRows: to === tokens.length ? logitRows : 0 };
      await this.#submit(recordDecoder(config, this.#loaded.weights, this.#activations, this.#decoder, step).flat(), signal);
      from = to;
    }
    const all = await this.#read(this.#decoder.logits, logitRows * config.vocabSize);
    return Array.from({ length: logitRows }, (_, i) => all.subarray(i * config.vocabSize, (i + 1) * config.vocabSize));
  }

  /**
   * Where each token looks in the first `positions` of the window: attention of the alignment heads [tokens.length,
   * positions], one array a head, each row summing to 1. Goes through the decoder again.
   * Errors: the signal's reason.
   */
  async alignment(tokens: readonly number[], positions: number, signal?: AbortSignal): Promise<Float32Array[]> {
    const { config } = this;
    const { sourcePositions: n, width, decoderHeads } = config;
    const headDim = width / decoderHeads;
    const attention = config.alignmentHeads.map(() => new Float32Array(tokens.length * positions));
    const keys = new Map<number, Float32Array>();
    for (const [layer] of config.alignmentHeads) {
      if (keys.has(layer)) continue;
      const { k } = this.#decoder.cross[layer]!.pages[0]!;
      keys.set(layer, await this.#read({ buffer: k, offset: 0 }, n * width));
    }
    const rowsAtOnce = Math.min(chunk, n);
    for (let from = 0; from < tokens.length; from += rowsAtOnce) {
      const rows = Math.min(rowsAtOnce, tokens.length - from);
      this.#writeIds(tokens.slice(from, from + rows));
      const lists = recordDecoder(config, this.#loaded.weights, this.#activations, this.#decoder, { start: from, rows, logitRows: 0 });
      for (const [layer, commands] of lists.entries()) {
        await this.#submit(commands, signal);
        if (!keys.has(layer)) continue;
        const queries = await this.#read(this.#activations.q, rows * width);
        for (const [i, [ofLayer, head]] of config.alignmentHeads.entries()) {
          if (ofLayer !== layer) continue;
          for (let r = 0; r < rows; r++) {
            const query = queries.subarray(r * width + head * headDim, r * width + (head + 1) * headDim);
            // A page of the cache is [head][position][headDim].
            softAttention(query, keys.get(layer)!, head * n * headDim, attention[i]!.subarray((from + r) * positions, (from + r + 1) * positions));
          }
        }
      }
    }
    return attention;
  }

  /** Gives the buffers back; matrices live until the device is closed. */
  close(): void {
    for (const buffer of [...this.#buffers.splice(0), ...this.#loaded.buffers]) this.#device.destroyBuffer(buffer);
  }

  #writeIds(tokens: readonly number[]): void {
    this.#device.write(this.#decoder.ids, Uint32Array.from(tokens));
  }

  async #submit(commands: Parameters<Device['submit']>[0], signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) throw abortError(signal);
    await this.#device.submit(commands, signal);
  }

  async #read(view: View, elements: number): Promise<Float32Array> {
    const bytes = await this.#device.read(view, elements * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(bytes.buffer);
  }
}

/** out[p] = softmax over p of (query . keys[p]) / sqrt(headDim). */
function softAttention(query: Float32Array, keys: Float32Array, from: number, out: Float32Array): void {
  let most = -Infinity;
  for (let p = 0, at = from; p < out.length; p++) {
    let logit = 0;
    for (let i = 0; i < query.length; i++) logit += query[i]! * keys[at++]!;
    out[p] = logit / Math.sqrt(query.length);
    if (out[p]! > most) most = out[p]!;
  }
  let sum = 0;
  for (let p = 0; p < out.length; p++) sum += out[p] = Math.exp(out[p]! - most);
  for (let p = 0; p < out.length; p++) out[p]! /= sum;
}

/**
 * @param dir as in `openSpeechFiles`
 * Errors: LodestoneError(badModel), LodestoneError(outOfMemory); the signal's reason.
 */
export async function openSpeechModel(dir: string, device: Device, signal?: AbortSignal): Promise<SpeechModel> {
  const [tokenizer, { config, checkpoint }] = await Promise.all([openTokenizer(dir), openSpeechFiles(dir)]);
  return new SpeechModel(device, config, await loadSpeechWeights(device, checkpoint, config, signal), tokenizer);
}
