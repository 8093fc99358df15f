/**
 * The vision tower and the projector, top to bottom: an image's patches in, soft tokens out.
 *
 *   x = W patches + b + positions
 *   per layer:  x += Wo attention(W layerNorm(x));  x += W2 gelu(W1 layerNorm(x))
 *   soft tokens = W rmsNorm(averagePool(layerNorm(x)))
 *
 * Every patch sees every patch. All products but the last have a bias.
 * Source: SigLIP (arXiv 2303.15343), Gemma 3 report (arXiv 2503.19786), transformers `modeling_siglip.py` and
 * `Gemma3MultiModalProjector`.
 */
import type { Command, KvCache, View, Weight } from '../device/device.js';
import type { VisionConfig } from './vision-config.js';

export interface Linear {
  readonly weight: Weight;
  readonly bias: View;
}

export interface LayerNorm {
  readonly gain: View;
  readonly bias: View;
}

export interface VisionLayer {
  readonly norm1: LayerNorm;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly norm2: LayerNorm;
  readonly fc1: Linear;
  readonly fc2: Linear;
}

export interface VisionWeights {
  /** [hiddenSize, channels * patchSize^2]; a patch's pixels are in the order channel, row, column. */
  readonly patch: Linear;
  /** [side^2, hiddenSize], row by row of the image. */
  readonly positions: View;
  readonly layers: readonly VisionLayer[];
  readonly postNorm: LayerNorm;
  /** Of the projector's RMSNorm, 1 + w. */
  readonly softNorm: View;
  /** [the text model's hiddenSize, hiddenSize] */
  readonly projection: Weight;
}

/** Activations of one image, f32; n = side^2 patches. */
export interface VisionActivations {
  /** [n, channels * patchSize^2] */
  readonly patches: View;
  /** Residual stream [n, hiddenSize]. */
  readonly x: View;
  /** All [n, hiddenSize]. */
  readonly normed: View;
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly attended: View;
  readonly branch: View;
  /** [n, intermediateSize] */
  readonly hidden: View;
  /** [tokensPerImage, hiddenSize] */
  readonly pooled: View;
  /** [tokensPerImage, the text model's hiddenSize] */
  readonly soft: View;
  /** f32, of n positions. */
  readonly cache: KvCache;
}

/**
 * The commands of one image, a list per submit: one for the embedding, each layer and the projector, so that it is known
 * how far the work has come. `activations.patches` must be written.
 * @param softEps of the projector's norm: the text model's
 */
export function recordTower(config: VisionConfig, weights: VisionWeights, activations: VisionActivations, softEps: number): Command[][] {
  const { hiddenSize: width, intermediateSize, heads, headDim, side, poolSize, tokensPerImage, eps } = config;
  const { patches, x, normed, q, k, v, attended, branch, hidden, pooled, soft, cache } = activations;
  const rows = side ** 2;
  const product = (from: View, ...parts: readonly [Linear, View][]): Command => ({
    op: 'matMul',
    x: from,
    rows,
    parts: parts.map(([{ weight, bias }, out]) => ({ weight, out, bias })),
  });
  const norm = ({ gain, bias }: LayerNorm): Command => ({ op: 'layerNorm', x, gain, bias, out: normed, rows, width, eps });
  const addBranch: Command = { op: 'add', x, y: branch, count: rows * width };

  const embedding: Command[] = [product(patches, [weights.patch, x]), { op: 'add', x, y: weights.positions, count: rows * width }];
  const layers = weights.layers.map((layer): Command[] => [
    norm(layer.norm1),
    product(normed, [layer.q, q], [layer.k, k], [layer.v, v]),
    { op: 'storeKv', k, v, rows, start: 0, gain: null, eps, rope: null, cache },
    {
      op: 'attention',
      q,
      out: attended,
      rows,
      start: 0,
      heads,
      window: 0,
      scale: headDim ** -0.5,
      logScale: null,
      blocks: [{ from: 0, to: rows }],
      cache,
    },
    product(attended, [layer.o, branch]),
    addBranch,
    norm(layer.norm2),
    product(normed, [layer.fc1, hidden]),
    { op: 'gelu', x: hidden, out: hidden, count: rows * intermediateSize },
    product(hidden, [layer.fc2, branch]),
    addBranch,
  ]);
  const projector: Command[] = [
    norm(weights.postNorm),
    { op: 'averagePool', x: normed, out: pooled, side, size: poolSize, width },
    { op: 'rmsNorm', x: pooled, gain: weights.softNorm, out: pooled, rows: tokensPerImage, width, eps: softEps },
    { op: 'matMul', x: pooled, rows: tokensPerImage, parts: [{ weight: weights.projection, out: soft }] },
  ];
  return [embedding, ...layers, projector];
}
