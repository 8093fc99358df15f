/**
 * `vision_config` of an image model -> plain data with every field explicit.
 *
 * The tower is SigLIP (arXiv 2303.15343) without its pooling head; its results are averaged down to
 * `tokensPerImage` soft tokens and projected into the text model. All published Gemma 3 have the same tower, So400m/14 at
 * 896 pixels, so what a sparse config leaves out is taken from it.
 * Source: transformers `configuration_gemma3.py`, `configuration_siglip.py`, `modeling_gemma3.py` 4.57 and 5.18.
 */

export interface VisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  /** An image's width and height, in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  /** Patches in a row of the image. */
  readonly side: number;
  /** Patches along each side of a square that is averaged into one soft token. */
  readonly poolSize: number;
  /** Soft tokens of an image, (side / poolSize)^2. */
  readonly tokensPerImage: number;
  /** Of the layer norms. The projector's norm has the text model's. */
  readonly eps: number;
  readonly tokens: ImageTokens;
}

/** Ids around and in place of an image's soft tokens. */
export interface ImageTokens {
  /** `<start_of_image>` */
  readonly start: number;
  /** `<end_of_image>` */
  readonly end: number;
  /** `<image_soft_token>`; it has no row in the embedding that text could use. */
  readonly soft: number;
}

/** Of Gemma 3's vocabulary. */
export const gemmaImageTokens: ImageTokens = { start: 255999, end: 256000, soft: 262144 };

/** Colours of a pixel. */
export const channels = 3;

type Json = Readonly<Record<string, unknown>>;

const published: Json = {
  hidden_size: 1152,
  intermediate_size: 4304,
  num_hidden_layers: 27,
  num_attention_heads: 16,
  image_size: 896,
  patch_size: 14,
  num_channels: channels,
  hidden_act: 'gelu_pytorch_tanh',
  layer_norm_eps: 1e-6,
};

/** Above these, a number is taken for damage rather than for a tower. */
const limits: Readonly<Record<string, number>> = { num_hidden_layers: 1024, image_size: 8192, patch_size: 1024 };
const limit = 2 ** 20;

/**
 * @param json parsed `config.json` of an image model
 * @param vision its `vision_config`
 * @param fail throws, with what is wrong
 */
export function parseVisionConfig(json: Json, vision: Json, fail: (what: string) => never): VisionConfig {
  const get = (key: string): unknown => vision[key] ?? published[key];
  const whole = (value: unknown, name: string, most = limit): number => {
    if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > most) {
      return fail(`${name} is ${JSON.stringify(value)}, not a whole number from 1 to ${most}`);
    }
    return value as number;
  };
  const size = (key: string): number => whole(get(key), `vision_config.${key}`, limits[key]);
  const eps = get('layer_norm_eps');
  if (typeof eps !== 'number' || !Number.isFinite(eps) || eps <= 0) return fail(`vision_config.layer_norm_eps is ${JSON.stringify(eps)}, not a positive number`);
  if (get('hidden_act') !== 'gelu_pytorch_tanh') fail(`vision_config.hidden_act is ${JSON.stringify(get('hidden_act'))}, not gelu_pytorch_tanh`);
  if (size('num_channels') !== channels) fail(`vision_config.num_channels is ${JSON.stringify(get('num_channels'))}, not ${channels}`);
  const id = (keys: readonly string[], fallback: number): number => {
    const key = keys.find((candidate) => json[candidate] != null);
    return key === undefined ? fallback : whole(json[key], key, 2 ** 31);
  };
  return visionConfig(
    {
      hiddenSize: size('hidden_size'),
      intermediateSize: size('intermediate_size'),
      layers: size('num_hidden_layers'),
      heads: size('num_attention_heads'),
      imageSize: size('image_size'),
      patchSize: size('patch_size'),
      tokensPerImage: whole(json['mm_tokens_per_image'] ?? 256, 'mm_tokens_per_image'),
      eps,
      tokens: {
        start: id(['boi_token_index', 'boi_token_id'], gemmaImageTokens.start),
        end: id(['eoi_token_index', 'eoi_token_id'], gemmaImageTokens.end),
        soft: id(['image_token_index', 'image_token_id'], gemmaImageTokens.soft),
      },
    },
    fail,
  );
}

/** Works out what follows from the sizes, and refuses those that do not divide. */
export function visionConfig(
  sizes: Omit<VisionConfig, 'headDim' | 'side' | 'poolSize'>,
  fail: (what: string) => never,
): VisionConfig {
  const { hiddenSize, heads, imageSize, patchSize, tokensPerImage } = sizes;
  if (hiddenSize % heads !== 0) fail(`the vision tower's width of ${hiddenSize} is not a multiple of its ${heads} heads`);
  if (imageSize % patchSize !== 0) fail(`images of ${imageSize} pixels are not cut evenly into patches of ${patchSize}`);
  const side = imageSize / patchSize;
  const tokensPerSide = Math.round(Math.sqrt(tokensPerImage));
  if (tokensPerSide ** 2 !== tokensPerImage || side % tokensPerSide !== 0) {
    fail(`${side} x ${side} patches are not averaged evenly into ${tokensPerImage} tokens an image`);
  }
  return { ...sizes, headDim: hiddenSize / heads, side, poolSize: side / tokensPerSide };
}
