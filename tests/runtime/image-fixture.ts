/** The small random image model, and what transformers makes of it. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import type { Device } from '../../src/device/device.js';
import { imagePatches } from '../../src/encode/image.js';
import type { Raster } from '../../src/ingest/segment.js';
import type { GemmaConfig } from '../../src/gemma/config.js';
import type { VisionConfig } from '../../src/gemma/vision-config.js';
import type { VisionWeights } from '../../src/gemma/vision-graph.js';
import { loadVisionWeights, locateVisionWeights } from '../../src/gemma/vision-weights.js';
import { loadGemmaWeights, type GemmaWeights } from '../../src/gemma/weights.js';
import { ImageEncoder } from '../../src/runtime/image-encoder.js';
import { openConfig } from '../../src/runtime/model.js';
import { openCheckpoint } from '../../src/weights/safetensors.js';

export const imageDir = fileURLToPath(new URL('../../fixtures/gemma3-image', import.meta.url));

export interface ImageGolden {
  readonly ids: readonly number[];
  readonly images: readonly Raster[];
  /** Of both images [2, side^2, width]. */
  readonly tower: Float32Array;
  /** Of both images [2, tokensPerImage, text width]. */
  readonly softTokens: Float32Array;
  /** After the embedding and each layer, the last one normed, [ids, width]. */
  readonly hiddenStates: readonly Float32Array[];
  /** [ids, 576]: with the rows of the embedding that text has no ids for. */
  readonly logits: Float32Array;
}

export function readImageGolden(): ImageGolden {
  const json = JSON.parse(readFileSync(join(imageDir, 'golden.json'), 'utf8')) as Record<string, unknown>;
  const bytes = (text: unknown): Uint8Array => Uint8Array.from(Buffer.from(text as string, 'base64'));
  const floats = (text: unknown): Float32Array => new Float32Array(bytes(text).buffer as ArrayBuffer);
  const [count, height, width] = json['image_shape'] as [number, number, number, number];
  const pixels = bytes(json['image_u8']);
  const perImage = pixels.length / count;
  return {
    ids: json['ids'] as number[],
    images: Array.from({ length: count }, (_, i) => ({ width, height, data: pixels.subarray(i * perImage, (i + 1) * perImage) })),
    tower: floats(json['tower_f32']),
    softTokens: floats(json['soft_tokens_f32']),
    hiddenStates: (json['hidden_states_f32'] as string[]).map(floats),
    logits: floats(json['logits_f32']),
  };
}

export interface ImageModel {
  readonly device: Device;
  readonly config: GemmaConfig;
  readonly vision: VisionConfig;
  readonly weights: GemmaWeights;
  readonly tower: VisionWeights;
  readonly encoder: ImageEncoder;
}

export async function openImageModel(device: Device): Promise<ImageModel> {
  const config = await openConfig(imageDir);
  const checkpoint = await openCheckpoint(imageDir);
  const weights = await loadGemmaWeights(device, checkpoint, config);
  const vision = config.vision!;
  const loaded = await loadVisionWeights(device, locateVisionWeights(checkpoint, vision, config.hiddenSize)!);
  return { device, config, vision, weights, tower: loaded.weights, encoder: new ImageEncoder(device, vision, loaded.weights, config) };
}

export function encodeImages({ encoder, vision }: ImageModel, images: readonly Raster[]): Promise<Float32Array[]> {
  return images.reduce<Promise<Float32Array[]>>(async (before, image) => [...(await before), await encoder.encode(imagePatches(image, vision))], Promise.resolve([]));
}
