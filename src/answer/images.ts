/** The images of a prompt to soft tokens. */
import { crop, imagePatches } from '../encode/image.js';
import type { Prompt } from '../encode/prompt.js';
import { ImageEncoder } from '../runtime/image-encoder.js';
import type { Model, ModelFiles } from '../runtime/model.js';
import type { CacheOptions } from '../sessions/open.js';
import type { AskEvent } from './answer.js';
import { imagesFolder, KeptImages } from './kept-images.js';

/** Soft tokens of images number `from` to `to - 1` of the prompt. Errors: LodestoneError(outOfMemory); the signal's reason. */
export type EncodeImages = (from: number, to: number) => Promise<Float32Array[]>;

/**
 * Emits image events. The tower's memory is given back after each call.
 * @param cache what was encoded before is taken from there, and the rest is put there
 */
export function imagesOf(
  model: Model,
  { visionPlaces }: Pick<ModelFiles, 'visionPlaces'>,
  { images = [] }: Prompt,
  cache: CacheOptions | undefined,
  signal: AbortSignal,
  emit: (event: AskEvent) => void,
): EncodeImages {
  let opened: Promise<KeptImages> | undefined;
  return async (from, to) => {
    const { config, device, vision } = model;
    const wanted = images.slice(from, to);
    if (wanted.length === 0) return [];
    if (!config.vision || !vision) throw new RangeError('this model is loaded without its vision tower');
    const kept = cache && visionPlaces ? await (opened ??= KeptImages.open(imagesFolder(cache.folder), visionPlaces, device, signal)) : null;
    const encoder = new ImageEncoder(device, config.vision, vision.weights, config);
    try {
      const soft: Float32Array[] = [];
      for (const [i, { image, box }] of wanted.entries()) {
        const onProgress = (done: number, of: number): void => emit({ type: 'image', done: i + done / of, total: wanted.length });
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
  };
}
