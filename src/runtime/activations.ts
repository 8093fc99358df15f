/** The buffers of activations, of a chunk of text and of an image: what is allocated, and what a plan counts. */
import { kvPageBytes } from '../device/kvLayout.js';
import type { GemmaConfig } from '../gemma/config.js';
import type { Activations } from '../gemma/graph.js';
import { drawnBytes } from './draw-ahead.js';
import { mostGuesses } from './guess.js';
import { channels, type VisionConfig } from '../gemma/vision-config.js';
import type { VisionActivations } from '../gemma/vision-graph.js';

export interface PlannedBuffer {
  readonly label: string;
  readonly bytes: number;
}

/** Of a context that computes at most `chunk` positions at a time; all f32, but for the u32 ids. */
export function activationBuffers(
  { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize }: GemmaConfig,
  chunk: number,
): Readonly<Record<keyof Activations, PlannedBuffer>> {
  const rows = (width: number, label: string): PlannedBuffer => ({ label, bytes: chunk * width * Float32Array.BYTES_PER_ELEMENT });
  return {
    ids: rows(1, 'token ids'),
    x: rows(hiddenSize, 'residual stream'),
    normed: rows(hiddenSize, 'normed residual stream'),
    q: rows(heads * headDim, 'queries'),
    attended: rows(heads * headDim, 'attention results'),
    k: rows(kvHeads * headDim, 'keys'),
    v: rows(kvHeads * headDim, 'values'),
    branch: rows(hiddenSize, 'branch output'),
    gate: rows(intermediateSize, 'gates'),
    up: rows(intermediateSize, 'up projections'),
    // Of the positions that are drawn at together, however long the chunk.
    logits: { label: 'logits', bytes: Math.min(chunk, 1 + mostGuesses) * vocabSize * Float32Array.BYTES_PER_ELEMENT },
    drawn: { label: 'drawn tokens', bytes: drawnBytes },
    ropeLocal: rows(headDim, 'rotary table, local'),
    ropeGlobal: rows(headDim, 'rotary table, global'),
  };
}

/** The keys and values of an image in the tower, which every layer uses in its turn. */
export function towerCache({ side, heads, headDim }: VisionConfig) {
  return { format: 'f32', ring: false, pageSlots: side ** 2, kvHeads: heads, headDim } as const;
}

/** Of the vision tower, for one image; all f32. @param textWidth the text model's hiddenSize */
export function towerBuffers(config: VisionConfig, textWidth: number): Readonly<Record<Exclude<keyof VisionActivations, 'cache'> | 'cacheK' | 'cacheV', PlannedBuffer>> {
  const { hiddenSize, intermediateSize, side, patchSize, tokensPerImage } = config;
  const rows = (count: number, width: number, label: string): PlannedBuffer => ({ label, bytes: count * width * Float32Array.BYTES_PER_ELEMENT });
  const n = side ** 2;
  const cache = kvPageBytes(towerCache(config));
  return {
    cacheK: { label: "the image's keys", bytes: cache },
    cacheV: { label: "the image's values", bytes: cache },
    patches: rows(n, channels * patchSize ** 2, "the image's patches"),
    x: rows(n, hiddenSize, 'residual stream of the image'),
    normed: rows(n, hiddenSize, 'normed residual stream of the image'),
    q: rows(n, hiddenSize, 'queries of the image'),
    k: rows(n, hiddenSize, 'keys of the image'),
    v: rows(n, hiddenSize, 'values of the image'),
    attended: rows(n, hiddenSize, 'attention results of the image'),
    branch: rows(n, hiddenSize, 'branch output of the image'),
    hidden: rows(n, intermediateSize, 'hidden layer of the image'),
    pooled: rows(tokensPerImage, hiddenSize, 'pooled image'),
    soft: rows(tokensPerImage, textWidth, 'soft tokens'),
  };
}
