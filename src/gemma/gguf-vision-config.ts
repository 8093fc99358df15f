/**
 * Metadata of a GGUF file of the vision part (mmproj) -> the config of the tower.
 * Source: llama.cpp `tools/mtmd/clip.cpp`, `conversion/gemma.py`.
 */
import { badFile } from '../weights/errors.js';
import { showValue, type Gguf } from '../weights/gguf.js';
import { gemmaImageTokens, visionConfig, type VisionConfig } from './vision-config.js';

const most = 2 ** 20;

/** llama.cpp averages squares of so many patches a side, unless the file says otherwise. */
const defaultPoolSize = 4;

/**
 * @param textWidth the text model's, to which the file must belong
 * Errors: LodestoneError(badModel), one line naming the key.
 */
export function parseGgufVisionConfig({ path, metadata }: Gguf, textWidth: number): VisionConfig {
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  const architecture = metadata.get('general.architecture');
  if (architecture !== 'clip') fail(`general.architecture is ${showValue(architecture)}, not clip: this is not the vision part of a model (mmproj)`);
  const projector = metadata.get('clip.projector_type') ?? metadata.get('clip.vision.projector_type');
  if (projector !== 'gemma3') fail(`clip.projector_type is ${showValue(projector)}, not gemma3`);
  const whole = (key: string, fallback?: number): number => {
    const value = metadata.get(`clip.vision.${key}`) ?? fallback;
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > most) {
      return fail(`clip.vision.${key} is ${showValue(value)}, not a whole number from 1 to ${most}`);
    }
    return value;
  };
  const eps = metadata.get('clip.vision.attention.layer_norm_epsilon') ?? 1e-6;
  if (typeof eps !== 'number' || !(eps > 0 && Number.isFinite(eps))) return fail(`clip.vision.attention.layer_norm_epsilon is ${showValue(eps)}, not a positive number`);
  const width = whole('projection_dim', textWidth);
  if (width !== textWidth) fail(`is of a text model of width ${width}, and this one has ${textWidth}`);
  const [imageSize, patchSize] = [whole('image_size'), whole('patch_size')];
  const poolSize = whole('projector.scale_factor', defaultPoolSize);
  const tokensPerSide = imageSize / patchSize / poolSize;
  if (!Number.isInteger(tokensPerSide)) fail(`images of ${imageSize} pixels are not cut evenly into squares of ${poolSize} x ${poolSize} patches of ${patchSize} pixels`);
  return visionConfig(
    {
      hiddenSize: whole('embedding_length'),
      intermediateSize: whole('feed_forward_length'),
      layers: whole('block_count'),
      heads: whole('attention.head_count'),
      imageSize,
      patchSize,
      tokensPerImage: tokensPerSide ** 2,
      eps,
      tokens: gemmaImageTokens,
    },
    fail,
  );
}
