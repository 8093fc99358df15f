/** Small Gemma 3 models with random float32 weights: a published-style config and the tensors that belong to it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomFloats } from '../device/cases.js';
import { f32Tensor, writeSafetensors, type TensorData } from '../weights/files.js';

export type Kind = 'local' | 'global';

export interface RandomModel {
  /** As config.json spells it. */
  readonly json: Readonly<Record<string, unknown>>;
  readonly kinds: readonly Kind[];
  /** Float32 values by tensor name, without a prefix. */
  readonly values: ReadonlyMap<string, Float32Array>;
}

export const shape = { d: 40, f: 56, heads: 4, kvHeads: 2, headDim: 16, window: 8, vocab: 97, attentionScalar: 24 };
export const ropeBases = { local: 1e4, global: 1e6, factor: 8 };

/** @param lodestone no rotation and a log-n scale in global layers */
export function randomModel(kinds: readonly Kind[], lodestone: boolean): RandomModel {
  const { d, f, heads, kvHeads, headDim, window, vocab, attentionScalar } = shape;
  const json = {
    model_type: 'gemma3_text',
    vocab_size: vocab,
    hidden_size: d,
    intermediate_size: f,
    num_hidden_layers: kinds.length,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headDim,
    sliding_window: window,
    query_pre_attn_scalar: attentionScalar,
    max_position_embeddings: 512,
    rope_theta: ropeBases.global,
    rope_local_base_freq: ropeBases.local,
    rope_scaling: { rope_type: 'linear', factor: ropeBases.factor },
    layer_types: kinds.map((kind) => (kind === 'local' ? 'sliding_attention' : 'full_attention')),
    ...(lodestone ? { lodestone: { global_rope: 'none', global_logit_scale: 'log_n', prompt: 'qa' } } : {}),
  };
  const values = new Map<string, Float32Array>();
  let seed = 1;
  const add = (name: string, count: number, magnitude: number): void => {
    values.set(name, randomFloats(count, seed++, magnitude));
  };
  const matrix = (name: string, outputs: number, inputs: number): void => add(name, outputs * inputs, 2 / Math.sqrt(inputs));
  add('embed_tokens.weight', vocab * d, 1);
  for (const [i, kind] of kinds.entries()) {
    const at = `layers.${i}`;
    for (const norm of ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm']) {
      add(`${at}.${norm}.weight`, d, 0.5);
    }
    matrix(`${at}.self_attn.q_proj.weight`, heads * headDim, d);
    matrix(`${at}.self_attn.k_proj.weight`, kvHeads * headDim, d);
    matrix(`${at}.self_attn.v_proj.weight`, kvHeads * headDim, d);
    matrix(`${at}.self_attn.o_proj.weight`, d, heads * headDim);
    add(`${at}.self_attn.q_norm.weight`, headDim, 0.5);
    add(`${at}.self_attn.k_norm.weight`, headDim, 0.5);
    if (lodestone && kind === 'global') {
      values.set(`${at}.self_attn.log_n_scale`, randomFloats(heads, seed++, 0.2).map((scale) => scale + 0.4));
    }
    matrix(`${at}.mlp.gate_proj.weight`, f, d);
    matrix(`${at}.mlp.up_proj.weight`, f, d);
    matrix(`${at}.mlp.down_proj.weight`, d, f);
  }
  add('norm.weight', d, 0.5);
  return { json, kinds, values };
}

/** The tensors of a model, under names with a prefix. */
export function modelTensors({ values }: RandomModel, prefix = 'model.'): Record<string, TensorData> {
  const { d } = shape;
  return Object.fromEntries(
    [...values].map(([name, data]) => {
      const inputs = name.endsWith('o_proj.weight') ? shape.heads * shape.headDim : name.endsWith('down_proj.weight') ? shape.f : d;
      const isMatrix = /proj|embed/.test(name);
      return [prefix + name, f32Tensor(isMatrix ? [data.length / inputs, inputs] : [data.length], data)];
    }),
  );
}

/** Writes config.json and model.safetensors into a directory. */
export function writeModel(dir: string, model: RandomModel, tensors: Record<string, TensorData> = modelTensors(model)): void {
  writeFileSync(join(dir, 'config.json'), JSON.stringify(model.json));
  writeSafetensors(join(dir, 'model.safetensors'), tensors);
}
