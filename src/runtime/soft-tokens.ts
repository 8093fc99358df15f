/** Images among tokens: a run of soft ids for each, and what stands in their place. */
import type { Span } from '../device/device.js';
import type { GemmaConfig } from '../gemma/config.js';

/** An image that a context has read: its positions, and its soft tokens [to - from, hiddenSize]. */
export interface ReadImage extends Span {
  readonly soft: Float32Array;
}

/**
 * The images among the tokens that are to be read.
 * @param start position of the first token
 * @param chunk the most positions of a submit; an image is read in one
 * Throws RangeError where ids are not the model's, or images not whole.
 */
export function placeImages(
  tokens: ArrayLike<number>,
  images: readonly Float32Array[],
  start: number,
  chunk: number,
  { vision, vocabSize, hiddenSize }: Pick<GemmaConfig, 'vision' | 'vocabSize' | 'hiddenSize'>,
): ReadImage[] {
  const read: ReadImage[] = [];
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
