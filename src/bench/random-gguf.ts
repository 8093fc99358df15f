/** A GGUF file of a Gemma 3 shape with random weights, for the peer of the benchmark. */
import { open, type FileHandle } from 'node:fs/promises';
import { storedBytes, type BlockFormat } from '../weights/blocks.js';
import { randomBlocks, type Shape } from './random-model.js';

const ggmlType = { f32: 0, q4_0: 2, q8_0: 8 } as const;
const alignment = 32;

interface Tensor {
  readonly name: string;
  /** Fastest first, as GGUF has it. */
  readonly shape: readonly number[];
  readonly type: keyof typeof ggmlType;
}

/** Little-endian pieces of a GGUF header. */
class Writer {
  readonly parts: Buffer[] = [];
  u32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.raw(bytes);
  }
  u64(value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return this.raw(bytes);
  }
  f32(value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return this.raw(bytes);
  }
  text(value: string): this {
    const bytes = Buffer.from(value);
    return this.u64(bytes.length).raw(bytes);
  }
  raw(bytes: Buffer): this {
    this.parts.push(bytes);
    return this;
  }
  bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function tensorsOf(shape: Shape, format: BlockFormat): Tensor[] {
  const { hiddenSize: d, intermediateSize: f, heads, kvHeads, headDim, vocabSize } = shape;
  const tensors: Tensor[] = [
    { name: 'token_embd.weight', shape: [d, vocabSize], type: 'q8_0' },
    { name: 'output_norm.weight', shape: [d], type: 'f32' },
  ];
  for (let l = 0; l < shape.layers; l++) {
    const gain = (name: string, width: number): Tensor => ({ name: `blk.${l}.${name}.weight`, shape: [width], type: 'f32' });
    const matrix = (name: string, outputs: number, inputs: number): Tensor => ({ name: `blk.${l}.${name}.weight`, shape: [inputs, outputs], type: format });
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
function metadata(shape: Shape, format: BlockFormat): { count: number; bytes: Buffer } {
  const w = new Writer();
  let count = 0;
  const key = (name: string, type: number): Writer => {
    count++;
    return w.text(name).u32(type);
  };
  const u32 = (name: string, value: number): void => void key(name, 4).u32(value);
  const f32 = (name: string, value: number): void => void key(name, 6).f32(value);
  const text = (name: string, value: string): void => void key(name, 8).text(value);
  const boolean = (name: string, value: boolean): void => void key(name, 7).raw(Buffer.of(value ? 1 : 0));
  text('general.architecture', 'gemma3');
  text('general.name', `${shape.name}, random weights`);
  u32('general.file_type', format === 'q8_0' ? 7 : 2);
  u32('gemma3.context_length', 131_072);
  u32('gemma3.embedding_length', shape.hiddenSize);
  u32('gemma3.block_count', shape.layers);
  u32('gemma3.feed_forward_length', shape.intermediateSize);
  u32('gemma3.attention.head_count', shape.heads);
  u32('gemma3.attention.head_count_kv', shape.kvHeads);
  u32('gemma3.attention.key_length', shape.headDim);
  u32('gemma3.attention.value_length', shape.headDim);
  u32('gemma3.attention.sliding_window', shape.window);
  f32('gemma3.attention.layer_norm_rms_epsilon', 1e-6);
  f32('gemma3.rope.freq_base', 1e6);
  text('tokenizer.ggml.model', 'llama');
  text('tokenizer.ggml.pre', 'default');
  const controls = ['<pad>', '<eos>', '<bos>', '<unk>'];
  const piece = (id: number): string => controls[id] ?? (id < 260 ? `<0x${(id - 4).toString(16).toUpperCase().padStart(2, '0')}>` : `p${id}`);
  key('tokenizer.ggml.tokens', 9).u32(8).u64(shape.vocabSize);
  for (let id = 0; id < shape.vocabSize; id++) w.text(piece(id));
  const scores = Float32Array.from({ length: shape.vocabSize }, (_, id) => -id);
  key('tokenizer.ggml.scores', 9).u32(6).u64(shape.vocabSize).raw(Buffer.from(scores.buffer));
  const types = Int32Array.from({ length: shape.vocabSize }, (_, id) => (id === 3 ? 2 : id < 4 ? 3 : id < 260 ? 6 : 1));
  key('tokenizer.ggml.token_type', 9).u32(5).u64(shape.vocabSize).raw(Buffer.from(types.buffer));
  for (const [i, name] of ['padding', 'eos', 'bos', 'unknown'].entries()) u32(`tokenizer.ggml.${name}_token_id`, i);
  boolean('tokenizer.ggml.add_bos_token', true);
  boolean('tokenizer.ggml.add_eos_token', false);
  return { count, bytes: w.bytes() };
}

function tensorData({ type, shape }: Tensor): Uint8Array {
  const elements = shape.reduce((product, size) => product * size, 1);
  return type === 'f32' ? new Uint8Array(new Float32Array(elements).fill(1).buffer) : randomBlocks(type, elements);
}

export async function writeRandomGguf(path: string, shape: Shape, format: BlockFormat): Promise<void> {
  const tensors = tensorsOf(shape, format);
  const { count, bytes } = metadata(shape, format);
  const header = new Writer().raw(Buffer.from('GGUF')).u32(3).u64(tensors.length).u64(count).raw(bytes);
  const padded = (size: number): number => Math.ceil(size / alignment) * alignment;
  let offset = 0;
  for (const { name, shape: sizes, type } of tensors) {
    header.text(name).u32(sizes.length);
    for (const size of sizes) header.u64(size);
    header.u32(ggmlType[type]).u64(offset);
    const elements = sizes.reduce((product, size) => product * size, 1);
    offset += padded(storedBytes(type, elements));
  }
  const file = await open(path, 'w');
  try {
    await writePadded(file, header.bytes(), padded);
    for (const tensor of tensors) await writePadded(file, tensorData(tensor), padded);
  } finally {
    await file.close();
  }
}

async function writePadded(file: FileHandle, data: Uint8Array, padded: (size: number) => number): Promise<void> {
  await file.writeFile(data);
  const rest = padded(data.length) - data.length;
  if (rest > 0) await file.writeFile(new Uint8Array(rest));
}
