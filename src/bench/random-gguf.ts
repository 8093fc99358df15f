/** GGUF files of a Gemma 3 shape with random weights, for the peer of the benchmark. */
import { open } from 'node:fs/promises';
import type { WeightFormat } from '../device/device.js';
import { isBlockFormat, storedBytes } from '../weights/blocks.js';
import { fileTypes, ggmlTypes, ggufHeader, padded, type MetadataEntry } from '../weights/gguf-header.js';
import { randomBlocks, type Shape } from './random-model.js';

export interface RandomTensor {
  readonly name: string;
  /** Fastest first, as GGUF has it. */
  readonly shape: readonly number[];
  readonly type: WeightFormat;
}

/** The embedding of quantised matrices is q8_0, as in published files. */
function tensorsOf(shape: Shape, format: WeightFormat): RandomTensor[] {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, vocabSize } = shape;
  const tensors: RandomTensor[] = [
    { name: 'token_embd.weight', shape: [d, vocabSize], type: isBlockFormat(format) ? 'q8_0' : format },
    { name: 'output_norm.weight', shape: [d], type: 'f32' },
  ];
  for (let l = 0; l < shape.layers; l++) {
    const gain = (name: string, width: number): RandomTensor => ({ name: `blk.${l}.${name}.weight`, shape: [width], type: 'f32' });
    const matrix = (name: string, outputs: number, inputs: number): RandomTensor => ({ name: `blk.${l}.${name}.weight`, shape: [inputs, outputs], type: format });
    tensors.push(
      gain('attn_norm', d),
      matrix('attn_q', heads * headDim, d),
      matrix('attn_k', kvHeads * headDim, d),
      matrix('attn_v', kvHeads * headDim, d),
      matrix('attn_output', d, heads * headDim),
      gain('attn_q_norm', headDim),
      gain('attn_k_norm', headDim),
      gain('post_attention_norm', d),
      gain('ffn_norm', d),
      matrix('ffn_gate', f, d),
      matrix('ffn_up', f, d),
      matrix('ffn_down', d, f),
      gain('post_ffw_norm', d),
    );
  }
  return tensors;
}

/** The tokenizer is a stand-in of the right size: control tokens, bytes, and numbered pieces. */
function metadata(shape: Shape, format: WeightFormat): Record<string, MetadataEntry> {
  const controls = ['<pad>', '<eos>', '<bos>', '<unk>'];
  // Of the form of prompt; after the bytes.
  const turns = ['<start_of_turn>', '<end_of_turn>'];
  const piece = (id: number): string => controls[id] ?? (id < 260 ? `<0x${(id - 4).toString(16).toUpperCase().padStart(2, '0')}>` : (turns[id - 260] ?? `p${id}`));
  const ids = Array.from({ length: shape.vocabSize }, (_, id) => id);
  return {
    'general.architecture': { text: 'gemma3' },
    'general.name': { text: `${shape.name}, random weights` },
    'general.file_type': { u32: fileTypes[format] },
    'gemma3.context_length': { u32: 131_072 },
    'gemma3.embedding_length': { u32: shape.hiddenSize },
    'gemma3.block_count': { u32: shape.layers },
    'gemma3.feed_forward_length': { u32: shape.intermediateSize },
    'gemma3.attention.head_count': { u32: shape.heads },
    'gemma3.attention.head_count_kv': { u32: shape.kvHeads },
    'gemma3.attention.key_length': { u32: shape.headDim },
    'gemma3.attention.value_length': { u32: shape.headDim },
    'gemma3.attention.sliding_window': { u32: shape.window },
    'gemma3.attention.layer_norm_rms_epsilon': { f32: 1e-6 },
    'gemma3.rope.freq_base': { f32: 1e6 },
    'tokenizer.ggml.model': { text: 'llama' },
    'tokenizer.ggml.pre': { text: 'default' },
    'tokenizer.ggml.tokens': { texts: ids.map(piece) },
    'tokenizer.ggml.scores': { f32s: Float32Array.from(ids, (id) => -id) },
    'tokenizer.ggml.token_type': { i32s: Int32Array.from(ids, (id) => (id === 3 ? 2 : id < 4 ? 3 : id < 260 ? 6 : id < 260 + turns.length ? 3 : 1)) },
    ...Object.fromEntries(['padding', 'eos', 'bos', 'unknown'].map((name, i) => [`tokenizer.ggml.${name}_token_id`, { u32: i }])),
    'tokenizer.ggml.add_bos_token': { bool: true },
    'tokenizer.ggml.add_eos_token': { bool: false },
  };
}

/** Ones for gains and a short pattern of blocks for matrices: enough where only speed matters. */
function patternData({ type, shape }: RandomTensor): Uint8Array {
  const elements = elementsOf(shape);
  if (isBlockFormat(type)) return randomBlocks(type, elements);
  return new Uint8Array(new Float32Array(elements).fill(1).buffer);
}

export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** @param dataOf the bytes of each tensor; default: patterns of blocks, for formats in blocks */
export async function writeRandomGguf(path: string, shape: Shape, format: WeightFormat, dataOf: (tensor: RandomTensor) => Uint8Array = patternData): Promise<void> {
  const tensors = tensorsOf(shape, format);
  const infos = tensors.map((tensor) => ({
    name: tensor.name,
    sizes: tensor.shape,
    type: ggmlTypes[tensor.type],
    bytes: storedBytes(tensor.type, elementsOf(tensor.shape)),
  }));
  const file = await open(path, 'w');
  try {
    await file.writeFile(ggufHeader(metadata(shape, format), infos));
    for (const tensor of tensors) {
      const data = dataOf(tensor);
      await file.writeFile(data);
      if (padded(data.length) > data.length) await file.writeFile(new Uint8Array(padded(data.length) - data.length));
    }
  } finally {
    await file.close();
  }
}
