/**
 * The five published sizes of Gemma 3, as their `config.json` gives them (sparse, as published; see config.ts), so that a
 * plan can be made before anything is downloaded.
 * Source: Gemma 3 report (arXiv 2503.19786) and the checkpoints' configs.
 */
import { parseConfig, type GemmaConfig } from './config.js';

export const sizeNames = ['270m', '1b', '4b', '12b', '27b'] as const;

export type SizeName = (typeof sizeNames)[number];

const text = { model_type: 'gemma3_text', vocab_size: 262_144, num_attention_heads: 4, num_key_value_heads: 1, max_position_embeddings: 32_768, sliding_window: 512 };

/** 4B, 12B and 27B are image models, all with the same tower: the text model is a section of the config. Their context was extended by a factor of 8. */
const multimodal = (section: Readonly<Record<string, unknown>>): unknown => ({
  model_type: 'gemma3',
  text_config: { model_type: 'gemma3_text', rope_scaling: { rope_type: 'linear', factor: 8 }, sliding_window: 1024, ...section },
  vision_config: {},
});

const published: Readonly<Record<SizeName, unknown>> = {
  '270m': { ...text, hidden_size: 640, intermediate_size: 2048, num_hidden_layers: 18 },
  '1b': { ...text, hidden_size: 1152, intermediate_size: 6912, num_hidden_layers: 26 },
  '4b': multimodal({ hidden_size: 2560, intermediate_size: 10_240, num_hidden_layers: 34 }),
  '12b': multimodal({ hidden_size: 3840, intermediate_size: 15_360, num_hidden_layers: 48, num_attention_heads: 16, num_key_value_heads: 8 }),
  '27b': multimodal({
    hidden_size: 5376,
    intermediate_size: 21_504,
    num_hidden_layers: 62,
    num_attention_heads: 32,
    num_key_value_heads: 16,
    head_dim: 128,
    query_pre_attn_scalar: 168,
  }),
};

export function publishedConfig(size: SizeName): GemmaConfig {
  return parseConfig(published[size], `the built-in config of Gemma 3 ${size}`);
}
