/** The images of a prompt to soft tokens. */
import { crop, imagePatches } from '../encode/image.js';
import type { PromptImage } from '../encode/prompt.js';
import type { Model } from '../runtime/model.js';
import type { AskEvent } from './answer.js';
import type { KeptImages } from './kept-images.js';

/**
 * Soft tokens of each image, in order. Emits image events. The tower's memory is given back at the end.
 * @param kept what was encoded before is taken from there, and the rest is put there
 * Errors: LodestoneError(outOfMemory); the signal's reason.
 */
export async function encodeImages(
  model: Model,
  images: readonly PromptImage[],
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
  kept?: KeptImages,
): Promise<Float32Array[]> {
  const { config, device, vision } = model;
  if (images.length === 0) return [];
  if (!config.vision || !vision) throw new RangeError('this model is loaded without its vision tower');
  // Loaded for prompts with images only.
  const { ImageEncoder } = await import('../runtime/image-encoder.js');
  const encoder = new ImageEncoder(device, config.vision, vision.weights, config);
  try {
    const soft: Float32Array[] = [];
    for (const [i, { image, box }] of images.entries()) {
      const onProgress = (done: number, of: number): void => emit({ type: 'image', done: i + done / of, total: images.length });
      const patches = imagePatches(box ? crop(image, box) : image, config.vision);
      const known = await kept?.find(patches, config.vision.tokensPerImage * config.hiddenSize);
      const tokens = known ?? (await encoder.encode(patches, { signal, onProgress }));
      if (!known) await kept?.keep(patches, tokens);
      soft.push(tokens);
    }
    return soft;
  } finally {
    encoder.close();
  }
}
