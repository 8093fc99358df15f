/**
 * A vision tower made by hand, whose letters are colours: a cell that is red says "a", a green one "b", a blue one "!", a black one
 * nothing. Its only layer adds nothing, so that what comes out is known without computing it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Raster } from '../../src/ingest/segment.js';
import { f32Tensor, writeSafetensors, type TensorData } from '../weights/files.js';

const width = 4;
const [imageSize, patchSize] = [32, 8];
export const side = imageSize / patchSize;
export const characters = 'ab!';

const zeros = (...shape: readonly number[]): TensorData => f32Tensor(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
const ones = (n: number): TensorData => f32Tensor([n], new Float32Array(n).fill(1));

/** Writes the model's folder. */
export function writeColourTower(dir: string, changes: { readonly characters?: string } = {}): void {
  const config = {
    model_type: 'gemma3',
    vision_config: { hidden_size: width, intermediate_size: width, num_hidden_layers: 1, num_attention_heads: 1, image_size: imageSize, patch_size: patchSize },
    mm_tokens_per_image: side ** 2,
    text_config: { hidden_size: width, rms_norm_eps: 1e-6 },
    lodestone: { characters },
    ...(changes.characters === undefined ? {} : { lodestone: { characters: changes.characters } }),
  };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  // Channel c of the residual stream is the mean of a patch's colour c; the last one is a constant
  // just below what a colour is that fills half of the patch: a letter on the border of two cells is in both.
  const patch = Float32Array.from({ length: width * 3 * patchSize ** 2 }, (_, i) => (Math.floor(i / (3 * patchSize ** 2)) === Math.floor((i % (3 * patchSize ** 2)) / patchSize ** 2) ? 1 / patchSize ** 2 : 0));
  const tower = 'vision_tower.vision_model.';
  const layer = `${tower}encoder.layers.0.`;
  const linear = (name: string): Record<string, TensorData> => ({ [`${layer}${name}.weight`]: zeros(width, width), [`${layer}${name}.bias`]: zeros(width) });
  const norm = (name: string): Record<string, TensorData> => ({ [`${name}.weight`]: ones(width), [`${name}.bias`]: zeros(width) });
  const identity = Float32Array.from({ length: width ** 2 }, (_, i) => (i % (width + 1) === 0 ? 8 : 0));
  writeSafetensors(join(dir, 'model.safetensors'), {
    [`${tower}embeddings.patch_embedding.weight`]: f32Tensor([width, 3, patchSize, patchSize], patch),
    [`${tower}embeddings.patch_embedding.bias`]: f32Tensor([width], Float32Array.of(0, 0, 0, -0.1)),
    [`${tower}embeddings.position_embedding.weight`]: zeros(side ** 2, width),
    ...norm(`${layer}layer_norm1`),
    ...norm(`${layer}layer_norm2`),
    ...['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.out_proj', 'mlp.fc1', 'mlp.fc2'].map(linear).reduce((all, one) => ({ ...all, ...one })),
    ...norm(`${tower}post_layernorm`),
    'multi_modal_projector.mm_soft_emb_norm.weight': zeros(width),
    'multi_modal_projector.mm_input_projection_weight': f32Tensor([width, width], identity),
    // Nothing is the constant channel: it is the largest where no colour is.
    'language_model.model.embed_tokens.weight': f32Tensor([4, width], Float32Array.of(0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0)),
  });
}

const colours: Readonly<Record<string, readonly number[]>> = { a: [255, 0, 0], b: [0, 255, 0], '!': [0, 0, 255], '.': [0, 0, 0] };

/** A picture of cells: rows of characters, "." for nothing. */
export function colourPicture(rows: readonly string[]): Raster {
  const data = new Uint8Array(imageSize ** 2 * 3);
  for (let y = 0; y < imageSize; y++) {
    for (let x = 0; x < imageSize; x++) data.set(colours[rows[Math.floor(y / patchSize)]?.[Math.floor(x / patchSize)] ?? '.']!, (y * imageSize + x) * 3);
  }
  return { width: imageSize, height: imageSize, data };
}
