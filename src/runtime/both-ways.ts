/** What is read both ways: an image, that is a run of soft ids and what stands in their place, and text that is asked to be. */
import type { Span } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';

/** Positions that see each other both ways: an image, with its soft tokens [to - from, hiddenSize], or text. */
export interface Block extends Span {
  readonly soft: Float32Array | null;
}

/**
 * The blocks among the tokens that are to be read, in order.
 * @param bothWays how many of the tokens, from the first on, see each other both ways
 * @param start position of the first token
 * @param chunk the most positions of a submit; a block is read in one
 * Throws RangeError where ids are not the model's, images not whole, or `bothWays` out of bounds.
 */
export function placeBlocks(
  tokens: ArrayLike<number>,
  images: readonly Float32Array[],
  bothWays: number,
  start: number,
  chunk: number,
  config: Pick<GemmaConfig, 'vision' | 'vocabSize' | 'hiddenSize'>,
): Block[] {
  const placed = placeImages(tokens, images, start, chunk, config);
  if (!Number.isSafeInteger(bothWays) || bothWays < 0 || bothWays > tokens.length) throw new RangeError(`${bothWays} of ${tokens.length} tokens both ways`);
  if (bothWays === 0) return placed;
  if (bothWays > chunk) throw new RangeError(`${bothWays} tokens both ways in a context of ${chunk} positions a submit`);
  const text = { from: start, to: start + bothWays, soft: null };
  if (placed.some(({ from }) => from < text.to)) throw new RangeError('an image among tokens that are read both ways');
  return [text, ...placed];
}

function placeImages(
  tokens: ArrayLike<number>,
  images: readonly Float32Array[],
  start: number,
  chunk: number,
  { vision, vocabSize, hiddenSize }: Pick<GemmaConfig, 'vision' | 'vocabSize' | 'hiddenSize'>,
): Block[] {
  const read: Block[] = [];
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i]!;
    if (!vision || id !== vision.tokens.soft) {
      if (Number.isSafeInteger(id) && id >= 0 && id < vocabSize) continue;
      throw new RangeError(`token id ${id} is outside the vocabulary (${vocabSize})`);
    }
    let run = 1;
    while (i + run < tokens.length && tokens[i + run] === id) run++;
    const soft = images[read.length];
    if (run !== vision.tokensPerImage) throw new RangeError(`a run of ${run} image tokens; an image has ${vision.tokensPerImage}`);
    if (soft?.length !== run * hiddenSize) throw new RangeError(`image ${read.length} is ${soft?.length ?? 0} numbers, not ${run * hiddenSize}`);
    if (run > chunk) throw new RangeError(`an image of ${run} tokens in a context of ${chunk} positions a submit`);
    read.push({ from: start + i, to: start + i + run, soft });
    i += run - 1;
  }
  if (read.length !== images.length) throw new RangeError(`${images.length} images, but the tokens of ${read.length}`);
  return read;
}
