/**
 * The Gemma 3 text graph, top to bottom: tokens in, logits out, at most ten commands per layer.
 *
 *   x = E[token] sqrt(d)
 *   per layer:  a = norm(x);  q, k, v = W a;  q, k normed per head and rotated;  o = attention
 *               x += norm(Wo o)
 *               b = norm(x);  m = Wdown (gelu(Wgate b) * Wup b)
 *               x += norm(m)
 *   logits = E norm(x)
 *
 * An image is a run of soft tokens, whose rows of x are what the projector gives, unscaled; they see each other both ways.
 * The branch's output is normalised before it is added (the "sandwich"), and each add computes the norm that follows.
 * Source: Gemma 3 report (arXiv 2503.19786), transformers `modeling_gemma3.py`.
 */
import type { Command, KvCache, Span, View } from '../device/device.js';
import type { Sampling } from '../device/sampling.js';
import type { GemmaConfig } from './config.js';
import type { GemmaWeights } from './weights.js';

/** First positions that are computed, one entry per layer. */
export interface OutputRanges {
  /** Layer l stores K and V from this position on; layer l's input is needed from there. */
  readonly kvFrom: readonly number[];
  /** Layer l's output is computed from this position on. */
  readonly outFrom: readonly number[];
}

/**
 * Which outputs of a prompt anything reads, for a prompt that ends at position `end` (exclusive).
 *
 * Below the last global layer G everything is read: G needs K and V of all positions. G's own output, and what the local
 * layers above it compute, is read only by the last positions: logits read the last `logitRows` positions of the last layer,
 * and a local layer that computes n positions reads K and V of n + W - 1. With n = 0 that is still W - 1: what a later
 * prefill or decode from `end` on can see. So skipping the rest changes nothing, now or later.
 */
export function outputRanges(config: Pick<GemmaConfig, 'layers' | 'window'>, end: number, logitRows: number): OutputRanges {
  const { layers, window } = config;
  const lastGlobal = layers.findLastIndex(({ kind }) => kind === 'global');
  const kvFrom: number[] = layers.map(() => 0);
  const outFrom: number[] = layers.map(() => 0);
  let need = logitRows;
  for (let l = layers.length - 1; l >= 0 && l >= lastGlobal; l--) {
    outFrom[l] = Math.max(0, end - need);
    if (l === lastGlobal) break;
    need += window - 1;
    kvFrom[l] = Math.max(0, end - need);
  }
  return { kvFrom, outFrom };
}

/** Activations of one chunk, f32 except `ids` (u32). Row r is position start + r. */
export interface Activations {
  /** [rows] */
  readonly ids: View;
  /** Residual stream [rows, d]. */
  readonly x: View;
  /** A normed x [rows, d]. */
  readonly normed: View;
  /** [rows, heads * headDim], queries and attention's results. */
  readonly q: View;
  readonly attended: View;
  /** [rows, kvHeads * headDim] */
  readonly k: View;
  readonly v: View;
  /** What a branch adds to x [rows, d]. */
  readonly branch: View;
  /** [rows, f] */
  readonly gate: View;
  readonly up: View;
  /** [vocabSize] of one position, or of as many as are drawn at together. */
  readonly logits: View;
  /** Of tokens that the device draws itself; for whoever records that. */
  readonly drawn: View;
  /** Rotary tables [rows, headDim]. */
  readonly ropeLocal: View;
  readonly ropeGlobal: View;
}

export interface Chunk {
  /** Position of the chunk's first token. */
  readonly start: number;
  readonly rows: number;
  readonly ranges: OutputRanges;
  /** Compute the logits of the chunk's last position. */
  readonly logits: boolean;
  /** Positions of the images in it, in order, each whole: their rows of `activations.x` are written before the commands run. */
  readonly images: readonly Span[];
  /** Positions that see each other both ways, in order, each whole: the images, and text that is read so. */
  readonly blocks: readonly Span[];
}

/**
 * Debugging aid: called while recording, where the residual stream has the value named: 0 for the embedding, l + 1 for
 * layer l's output, and 'final' for the stream after the last norm.
 */
export type Tap = (name: number | 'final', rows: View, commandsSoFar: number) => void;

/** Bytes of one f32 element. */
const f32 = 4;

/**
 * The commands of one chunk. The caches must have room for its positions, `activations.ids` and the rotary tables be
 * written, and the rows of images.
 */
export function recordChunk(
  config: GemmaConfig,
  weights: GemmaWeights,
  caches: readonly KvCache[],
  activations: Activations,
  chunk: Chunk,
  tap?: Tap,
): Command[] {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, eps } = config;
  const { start, ranges } = chunk;
  const end = start + chunk.rows;
  const commands: Command[] = [];
  const { ids, x, normed, q, attended, k, v, branch, gate, up, logits } = activations;

  /** The rows from absolute position `from` on. */
  const rowsFrom = (view: View, from: number, width: number): View => ({
    buffer: view.buffer,
    offset: view.offset + (from - start) * width * f32,
  });
  const clip = (position: number): number => Math.min(end, Math.max(start, position));

  // What layer 0 reads, in a model without global layers, may be less than the chunk.
  let from = clip(ranges.kvFrom[0]!);
  if (from < end) {
    const rows = end - from;
    const x0 = rowsFrom(x, from, d);
    let text = from;
    for (const { from: image, to } of [...chunk.images, { from: end, to: end }]) {
      if (image > text) {
        const out = rowsFrom(x, text, d);
        commands.push({ op: 'embed', ids: rowsFrom(ids, text, 1), weight: weights.embedding, scale: weights.embedScale, out, rows: image - text });
      }
      text = Math.max(text, to);
    }
    commands.push(
      { op: 'rmsNorm', x: x0, gain: weights.layers[0]!.inputNorm, out: rowsFrom(normed, from, d), rows, width: d, eps },
    );
  }
  tap?.(0, x, commands.length);

  for (const [l, layer] of weights.layers.entries()) {
    const { kind } = config.layers[l]!;
    const cache = caches[l]!;
    const kvStart = clip(ranges.kvFrom[l]!);
    from = clip(ranges.outFrom[l]!);
    const kvRows = end - kvStart;
    const rows = end - from;
    // Above this layer nothing of this chunk is read.
    if (kvRows === 0) break;

    const table = kind === 'local' ? activations.ropeLocal : config.ropeGlobal ? activations.ropeGlobal : null;
    const ropeFrom = (position: number): View | null => table && rowsFrom(table, position, headDim);
    const kIn = rowsFrom(k, kvStart, kvHeads * headDim);
    const vIn = rowsFrom(v, kvStart, kvHeads * headDim);
    const qIn = rowsFrom(q, from, heads * headDim);
    const kvParts = [
      { weight: layer.k, out: kIn },
      { weight: layer.v, out: vIn },
    ];
    const normedAt = (position: number): View => rowsFrom(normed, position, d);
    if (rows === kvRows) {
      commands.push({ op: 'matMul', x: normedAt(from), rows, parts: [{ weight: layer.q, out: qIn }, ...kvParts] });
    } else {
      commands.push({ op: 'matMul', x: normedAt(kvStart), rows: kvRows, parts: kvParts });
      if (rows > 0) commands.push({ op: 'matMul', x: normedAt(from), rows, parts: [{ weight: layer.q, out: qIn }] });
    }
    const rope = ropeFrom(kvStart);
    commands.push({ op: 'storeKv', k: kIn, v: vIn, rows: kvRows, start: kvStart, gain: layer.kNorm, eps, rope, cache });
    if (rows === 0) break;

    const xIn = rowsFrom(x, from, d);
    const o = rowsFrom(attended, from, heads * headDim);
    const y = rowsFrom(branch, from, d);
    const b = normedAt(from);
    const g = rowsFrom(gate, from, f);
    const u = rowsFrom(up, from, f);
    const window = kind === 'local' ? config.window : 0;
    const following = weights.layers[l + 1]?.inputNorm ?? weights.finalNorm;
    const size = { rows, width: d, eps };
    commands.push(
      { op: 'normRope', q: qIn, rows, heads, headDim, gain: layer.qNorm, eps, rope: ropeFrom(from) },
      {
        op: 'attention',
        q: qIn,
        out: o,
        rows,
        start: from,
        heads,
        window,
        scale: config.scale,
        logScale: layer.logScale,
        ...(chunk.blocks.length === 0 ? {} : { blocks: chunk.blocks }),
        cache,
      },
      { op: 'matMul', x: o, rows, parts: [{ weight: layer.o, out: y }] },
      { op: 'addNorm', x: xIn, branch: y, gain: layer.postAttentionNorm, next: { gain: layer.preFeedforwardNorm, out: b }, ...size },
      {
        op: 'matMul',
        x: b,
        rows,
        parts: [
          { weight: layer.gate, out: g },
          { weight: layer.up, out: u },
        ],
      },
      { op: 'geGlu', gate: g, up: u, out: g, count: rows * f },
      { op: 'matMul', x: g, rows, parts: [{ weight: layer.down, out: y }] },
      { op: 'addNorm', x: xIn, branch: y, gain: layer.postFeedforwardNorm, next: { gain: following, out: b }, ...size },
    );
    tap?.(l + 1, x, commands.length);
  }
  tap?.('final', normed, commands.length);

  if (chunk.logits) {
    const last = rowsFrom(normed, end - 1, d);
    commands.push({ op: 'matMul', x: last, rows: 1, parts: [{ weight: weights.head, out: logits }] });
  }
  return commands;
}

/** A step of decoding: one position, and the token that follows it. */
export interface Step {
  readonly position: number;
  /** The id of the token that is read, and where the drawn one goes. */
  readonly token: View;
  readonly drawn: View;
  /** Number of the drawn token in the text. */
  readonly number: number;
}

/**
 * The commands of steps that read each other's tokens. The caches must have room for their positions, the first token be written,
 * and the rotary tables: a row for each step.
 */
export function recordSteps(
  config: GemmaConfig,
  weights: GemmaWeights,
  caches: readonly KvCache[],
  activations: Activations,
  steps: readonly Step[],
  sampling: Sampling,
): Command[] {
  const { logits, ropeLocal, ropeGlobal } = activations;
  return steps.flatMap(({ position, number, token, drawn }, i): Command[] => {
    const row = ({ buffer, offset }: View): View => ({ buffer, offset: offset + i * config.headDim * f32 });
    const own = { ...activations, ids: token, ropeLocal: row(ropeLocal), ropeGlobal: row(ropeGlobal) };
    const chunk = { start: position, rows: 1, ranges: outputRanges(config, position + 1, 1), logits: true, images: [], blocks: [] };
    const draw = { op: 'sample', logits, count: config.vocabSize, sampling, step: number, out: drawn } as const;
    return [...recordChunk(config, weights, caches, own, chunk), draw];
  });
}

/** Neighbouring positions whose tokens are known or guessed, and that are drawn at together. */
export interface Guesses {
  readonly start: number;
  /** Of each, where the drawn token goes. */
  readonly drawn: readonly View[];
  /** Number in the text of the token that is drawn at the first of them. */
  readonly number: number;
}

/** The commands for them: as a chunk's, then a draw at each position. */
export function recordGuesses(
  config: GemmaConfig,
  weights: GemmaWeights,
  caches: readonly KvCache[],
  activations: Activations,
  { start, drawn, number }: Guesses,
  sampling: Sampling,
): Command[] {
  const { logits, normed } = activations;
  const { vocabSize: count } = config;
  const rows = drawn.length;
  const chunk = { start, rows, ranges: outputRanges(config, start + rows, rows), logits: false, images: [], blocks: [] };
  const logitsOf = (row: number): View => ({ buffer: logits.buffer, offset: logits.offset + row * count * f32 });
  return [
    ...recordChunk(config, weights, caches, activations, chunk),
    { op: 'matMul', x: normed, rows, parts: [{ weight: weights.head, out: logits }] },
    ...drawn.map((out, row): Command => ({ op: 'sample', logits: logitsOf(row), count, sampling, step: number + row, out })),
  ];
}
