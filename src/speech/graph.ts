/**
 * Whisper's encoder and decoder as device commands.
 *
 *   encoder: x = gelu(conv2(gelu(conv1(mel)))) + positions;  per layer:  x += attention(norm x);  x += mlp(norm x);  norm x
 *   decoder: x = embedding + positions;  per layer:  x += attention(norm x), causal;  x += attention over the encoder's
 *            result;  x += mlp(norm x);  logits = embedding^T norm x
 *
 * Source: Whisper (arXiv 2212.04356), transformers `modeling_whisper.py` 5.18.
 */
import type { Command, KvCache, View } from '../device/device.js';
import type { LayerNorm, Linear } from '../gemma/vision-graph.js';
import type { SpeechConfig } from './config.js';
import { taps, type AttentionWeights, type MlpWeights, type SpeechWeights } from './weights.js';

/** Of all layer norms. */
const eps = 1e-5;

/** Activations of up to `rows` positions, f32; where two graphs share them, of the longer one. */
export interface SpeechActivations {
  /** All [rows, width]. */
  readonly x: View;
  readonly normed: View;
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly attended: View;
  readonly branch: View;
  /** [rows, hidden layer] */
  readonly hidden: View;
}

/** What only the encoder needs, f32; n = sourcePositions. */
export interface EncoderViews {
  /** [2 n, melBands] */
  readonly mel: View;
  /** [2 n, taps * melBands], and later [n, taps * width] */
  readonly unfolded: View;
  /** [2 n, width] */
  readonly convolved: View;
  /** Keys and values of a layer, n positions. */
  readonly cache: KvCache;
}

const product = (x: View, rows: number, { weight, bias }: Linear, out: View): Command => ({ op: 'matMul', x, rows, parts: [{ weight, out, bias }] });

class Recorder {
  readonly commands: Command[] = [];

  constructor(
    private readonly activations: SpeechActivations,
    private readonly rows: number,
    private readonly width: number,
  ) {}

  push(...commands: readonly Command[]): void {
    this.commands.push(...commands);
  }

  norm({ gain, bias }: LayerNorm): void {
    this.push({ op: 'layerNorm', x: this.activations.x, gain, bias, out: this.activations.normed, rows: this.rows, width: this.width, eps });
  }

  /** Queries of what attention reads next. */
  queries({ norm, q }: AttentionWeights): void {
    this.norm(norm);
    this.push(product(this.activations.normed, this.rows, q, this.activations.q));
  }

  /** Keys and values of `from`, at positions `start` and following. */
  store({ k, v }: AttentionWeights, from: View, start: number, cache: KvCache): void {
    const { activations, rows } = this;
    this.push(
      { op: 'matMul', x: from, rows, parts: [{ weight: k, out: activations.k }, { weight: v.weight, out: activations.v, bias: v.bias }] },
      { op: 'storeKv', k: activations.k, v: activations.v, rows, start, gain: null, eps, rope: null, cache },
    );
  }

  /** `sees`: so many positions, whatever the query's own; null: those up to it. */
  attend({ o }: AttentionWeights, heads: number, start: number, sees: number | null, cache: KvCache): void {
    const { q, attended, branch, x } = this.activations;
    const span = sees === null ? { start } : { start: 0, blocks: [{ from: 0, to: sees }] };
    this.push(
      { op: 'attention', q, out: attended, rows: this.rows, heads, window: 0, scale: cache.headDim ** -0.5, logScale: null, cache, ...span },
      product(attended, this.rows, o, branch),
      { op: 'add', x, y: branch, count: this.rows * this.width },
    );
  }

  mlp({ norm, up, down }: MlpWeights): void {
    const { normed, hidden, branch, x } = this.activations;
    this.norm(norm);
    this.push(
      product(normed, this.rows, up, hidden),
      { op: 'geluErf', x: hidden, out: hidden, count: this.rows * up.weight.outputs },
      product(hidden, this.rows, down, branch),
      { op: 'add', x, y: branch, count: this.rows * this.width },
    );
  }
}

/** `views.mel` -> `activations.normed` [sourcePositions, width]; a list per submit. */
export function recordEncoder(config: SpeechConfig, weights: SpeechWeights, activations: SpeechActivations, views: EncoderViews): Command[][] {
  const { width, melBands, sourcePositions: rows, encoderHeads } = config;
  const { mel, unfolded, convolved, cache } = views;
  const frames = rows * 2;
  const convolutions: Command[] = [
    { op: 'unfold', x: mel, out: unfolded, length: frames, width: melBands, rows: frames, taps, stride: 1, pad: 1 },
    product(unfolded, frames, weights.conv1, convolved),
    { op: 'geluErf', x: convolved, out: convolved, count: frames * width },
    { op: 'unfold', x: convolved, out: unfolded, length: frames, width, rows, taps, stride: 2, pad: 1 },
    product(unfolded, rows, weights.conv2, activations.x),
    { op: 'geluErf', x: activations.x, out: activations.x, count: rows * width },
    { op: 'add', x: activations.x, y: weights.encoderPositions, count: rows * width },
  ];
  const layers = weights.encoder.map(({ self, mlp }) => {
    const layer = new Recorder(activations, rows, width);
    layer.queries(self);
    layer.store(self, activations.normed, 0, cache);
    layer.attend(self, encoderHeads, 0, rows, cache);
    layer.mlp(mlp);
    return layer.commands;
  });
  const end = new Recorder(activations, rows, width);
  end.norm(weights.encoderNorm);
  return [convolutions, ...layers, end.commands];
}

/** Keys and values of the encoder's result (`encoded` [sourcePositions, width]) for one decoder layer. */
export function recordCross(config: SpeechConfig, layer: SpeechWeights['decoder'][number], activations: SpeechActivations, encoded: View, cache: KvCache): Command[] {
  const recorder = new Recorder(activations, config.sourcePositions, config.width);
  recorder.store(layer.cross, encoded, 0, cache);
  return recorder.commands;
}

export interface DecoderViews {
  /** u32 [rows] */
  readonly ids: View;
  /** [logit rows, vocabSize] */
  readonly logits: View;
  /** Of each layer. */
  readonly self: readonly KvCache[];
  readonly cross: readonly KvCache[];
}

export interface DecoderStep {
  /** Position of the first token. */
  readonly start: number;
  readonly rows: number;
  /** Logits of so many last rows. */
  readonly logitRows: number;
}

/** Commands of the decoder, cut where `activations.q` holds each layer's queries of the encoder's result. */
export function recordDecoder(
  config: SpeechConfig,
  weights: SpeechWeights,
  activations: SpeechActivations,
  views: DecoderViews,
  { start, rows, logitRows }: DecoderStep,
): Command[][] {
  const { width, decoderHeads, sourcePositions, embeddingScale } = config;
  const at = (view: View, row: number, elements: number): View => ({ buffer: view.buffer, offset: view.offset + row * elements * Float32Array.BYTES_PER_ELEMENT });
  const lists: Command[][] = [];
  let list = new Recorder(activations, rows, width);
  list.push(
    { op: 'embed', ids: views.ids, weight: weights.tokens, scale: embeddingScale, out: activations.x, rows },
    { op: 'add', x: activations.x, y: at(weights.decoderPositions, start, width), count: rows * width },
  );
  for (const [i, { self, cross, mlp }] of weights.decoder.entries()) {
    list.queries(self);
    list.store(self, activations.normed, start, views.self[i]!);
    list.attend(self, decoderHeads, start, null, views.self[i]!);
    list.queries(cross);
    lists.push(list.commands);
    list = new Recorder(activations, rows, width);
    list.attend(cross, decoderHeads, 0, sourcePositions, views.cross[i]!);
    list.mlp(mlp);
  }
  list.norm(weights.decoderNorm);
  if (logitRows > 0) {
    list.push({ op: 'matMul', x: at(activations.normed, rows - logitRows, width), rows: logitRows, parts: [{ weight: weights.tokens, out: views.logits }] });
  }
  return [...lists, list.commands];
}
