/** The vision part of the image fixture as a file of llama.cpp's (mmproj), which goes with the tiny text model. */
import { readFileSync, writeFileSync } from 'node:fs';
import { openCheckpoint } from '../../src/weights/safetensors.js';
import { readTensorF32 } from '../../src/weights/read.js';
import type { MetadataEntry } from '../../src/weights/gguf-header.js';
import { imageDir } from '../runtime/image-fixture.js';
import { ggmlTypes, ggufFile, type GgufTensorData } from '../weights/gguf-files.js';

export const mmprojMetadata: Record<string, MetadataEntry> = {
  'general.architecture': { text: 'clip' },
  'clip.projector_type': { text: 'gemma3' },
  'clip.vision.image_size': { u32: 112 },
  'clip.vision.patch_size': { u32: 14 },
  'clip.vision.embedding_length': { u32: 48 },
  'clip.vision.feed_forward_length': { u32: 80 },
  'clip.vision.block_count': { u32: 3 },
  'clip.vision.attention.head_count': { u32: 4 },
  'clip.vision.attention.layer_norm_epsilon': { f32: 1e-6 },
  'clip.vision.projection_dim': { u32: 64 },
};

const renames: readonly (readonly [RegExp, string])[] = [
  [/^vision_tower\.vision_model\.embeddings\.patch_embedding/, 'v.patch_embd'],
  [/^vision_tower\.vision_model\.embeddings\.position_embedding/, 'v.position_embd'],
  [/^vision_tower\.vision_model\.encoder\.layers\.(\d+)\./, 'v.blk.$1.'],
  [/^vision_tower\.vision_model\.post_layernorm/, 'v.post_ln'],
  [/layer_norm(\d)/, 'ln$1'],
  [/self_attn\.(q|k|v|out)_proj/, 'attn_$1'],
  [/^multi_modal_projector\.mm_input_projection_weight/, 'mm.input_projection.weight'],
  [/^multi_modal_projector\.mm_soft_emb_norm/, 'mm.soft_emb_norm'],
];

/** The fixture's tower as the converter of llama.cpp writes it: vectors and patches in F32, 1 added to the projector's gain. */
export async function writeMmproj(path: string, early: boolean, entries = mmprojMetadata): Promise<string> {
  const tensors: Record<string, GgufTensorData> = {};
  for (const entry of (await openCheckpoint(imageDir)).tensors.values()) {
    if (!/^(vision_tower|multi_modal)/.test(entry.name)) continue;
    const renamed = renames
      .reduce((text, [from, to]) => text.replace(from, to), entry.name)
      .replace('mlp.fc1', early ? 'ffn_down' : 'ffn_up')
      .replace('mlp.fc2', early ? 'ffn_up' : 'ffn_down');
    const sizes = entry.shape.toReversed();
    const whole = sizes.length === 1 || /embd/.test(renamed);
    const values = await readTensorF32(entry);
    const gains = renamed === 'mm.soft_emb_norm.weight' ? values.map((value) => value + 1) : values;
    const stored = whole ? new Uint8Array(gains.buffer) : new Uint8Array(readFileSync(entry.path).subarray(entry.offset, entry.offset + entry.bytes));
    tensors[renamed] = { sizes, type: whole ? ggmlTypes.F32 : ggmlTypes.BF16, bytes: stored };
  }
  writeFileSync(path, ggufFile(entries, tensors));
  return path;
}
