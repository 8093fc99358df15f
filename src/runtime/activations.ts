/** The buffers of one chunk's activations: what a context allocates beside its caches, and a plan counts. */
import type { GemmaConfig } from '../gemma/config.js';
import type { Activations } from '../gemma/graph.js';

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
    // Of one position, however long the chunk.
    logits: { label: 'logits', bytes: vocabSize * Float32Array.BYTES_PER_ELEMENT },
    ropeLocal: rows(headDim, 'rotary table, local'),
    ropeGlobal: rows(headDim, 'rotary table, global'),
  };
}
