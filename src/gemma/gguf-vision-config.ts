/**
 * Metadata of a GGUF file of the vision part (mmproj) -> the config of the tower; or of a file of Ollama's, which has text
 * model and tower together, under keys of its own.
 * Source: llama.cpp `tools/mtmd/clip.cpp`, `conversion/gemma.py`; Ollama `convert/convert_gemma3.go`.
 */
import { badFile } from '../weights/errors.js';
import { showValue, type Gguf } from '../weights/gguf.js';
import { gemmaImageTokens, visionConfig, type VisionConfig } from './vision-config.js';

const most = 2 ** 20;

const ollamaPrefix = 'gemma3.vision.';

/** Does a text model's file hold its vision part too? */
export function holdsVision({ metadata }: Gguf): boolean {
  return metadata.has(`${ollamaPrefix}block_count`);
}

/** llama.cpp averages squares of so many patches a side, unless the file says otherwise. */
const defaultPoolSize = 4;

/**
 * @param textWidth the text model's, to which the file must belong
 * Errors: LodestoneError(badModel), one line naming the key.
 */
export function parseGgufVisionConfig(file: Gguf, textWidth: number): VisionConfig {
  const { path, metadata } = file;
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  const together = holdsVision(file);
  const architecture = metadata.get('general.architecture');
  if (!together && architecture !== 'clip') fail(`general.architecture is ${showValue(architecture)}, not clip: this is not the vision part of a model (mmproj)`);
  const projector = metadata.get('clip.projector_type') ?? metadata.get('clip.vision.projector_type');
  if (!together && projector !== 'gemma3') fail(`clip.projector_type is ${showValue(projector)}, not gemma3`);
  const prefix = together ? ollamaPrefix : 'clip.vision.';
  const whole = (key: string, fallback?: number): number => {
    const value = metadata.get(prefix + key) ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > most) {
      return fail(`${prefix}${key} is ${showValue(value)}, not a whole number from 1 to ${most}`);
    }
    return value;
  };
  const eps = metadata.get(`${prefix}attention.layer_norm_epsilon`) ?? 1e-6;
  if (typeof eps !== 'number' || !(eps > 0 && Number.isFinite(eps))) return fail(`${prefix}attention.layer_norm_epsilon is ${showValue(eps)}, not a positive number`);
  const width = whole('projection_dim', textWidth);
  if (width !== textWidth) fail(`is of a text model of width ${width}, and this one has ${textWidth}`);
  const [imageSize, patchSize] = [whole('image_size'), whole('patch_size')];
  const tokensPerImage = together ? metadata.get('gemma3.mm.tokens_per_image') ?? 256 : pooledTokens(imageSize, patchSize, whole('projector.scale_factor', defaultPoolSize), fail);
  if (typeof tokensPerImage !== 'number' || !Number.isSafeInteger(tokensPerImage) || tokensPerImage < 1) return fail(`gemma3.mm.tokens_per_image is ${showValue(tokensPerImage)}, not a positive whole number`);
  return visionConfig(
    {
      hiddenSize: whole('embedding_length'),
      intermediateSize: whole('feed_forward_length'),
      layers: whole('block_count'),
      heads: whole('attention.head_count'),
      imageSize,
      patchSize,
      tokensPerImage,
      eps,
      tokens: gemmaImageTokens,
    },
    fail,
  );
}

/** Soft tokens of an image whose patches are averaged in squares of poolSize x poolSize. */
function pooledTokens(imageSize: number, patchSize: number, poolSize: number, fail: (what: string) => never): number {
  const side = imageSize / patchSize / poolSize;
  return Number.isInteger(side) ? side ** 2 : fail(`images of ${imageSize} pixels are not cut evenly into squares of ${poolSize} x ${poolSize} patches of ${patchSize} pixels`);
}
