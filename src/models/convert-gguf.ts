/**
 * A converted model as a GGUF file, with the metadata that llama.cpp and Ollama read.
 *
 * What GGUF can't say is refused: the factors of attention logits other than those that its readers derive (gguf-config.ts),
 * and the switches of our own models. One thing more than they read is written, since it shows in the logits of ours:
 * `lodestone.embed_scale`, where the factor of the embeddings is rounded to bf16.
 * Source: llama.cpp `conversion/gemma.py`, `gguf-py/gguf/constants.py`.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ggufVocabulary, type GgufVocabulary } from '../encode/gguf-vocabulary.js';
import { storedVocabulary } from '../encode/gguf-tokenizer.js';
import { ExitCode, LodestoneError } from '../errors.js';
import type { GemmaConfig } from '../gemma/config.js';
import { ggufScale } from '../gemma/gguf-config.js';
import { isGguf, type ModelHeaders } from '../runtime/model.js';
import { fileTypes, ggmlTypes, ggufAlignment, ggufHeader, type MetadataEntry } from '../weights/gguf-header.js';
import { writeTensors, type ConversionTarget, type ConvertOptions, type NewTensor } from './conversion-tensors.js';
import { folderTemplate, templateOf } from './inspect.js';

/** @param source directory or file of the model that `headers` are of */
export async function writeGguf(source: string, path: string, headers: ModelHeaders, tensors: readonly NewTensor[], to: ConversionTarget, options: ConvertOptions): Promise<void> {
  const { id, config, checkpoint, places } = headers;
  refuseUnsayable(source, config);
  const vocabulary = isGguf(checkpoint) ? storedVocabulary(checkpoint, config.vocabSize) : await folderVocabulary(source, config.vocabSize);
  const template = isGguf(checkpoint) ? templateOf(checkpoint.metadata.get('tokenizer.chat_template')) : await folderTemplate(source);
  const metadata = {
    'general.architecture': { text: 'gemma3' },
    'general.type': { text: 'model' },
    'general.name': { text: id },
    'general.file_type': { u32: fileTypes[to] },
    'general.quantization_version': { u32: 2 },
    ...configEntries(config),
    ...vocabularyEntries(vocabulary),
    ...(template === null ? {} : { 'tokenizer.chat_template': { text: template } }),
    ...(places.embedScale === Math.sqrt(config.hiddenSize) ? {} : { 'lodestone.embed_scale': { text: 'bf16' } }),
  };
  const infos = tensors.map(({ name, shape, dtype, bytes }) => ({ name, sizes: shape.toReversed(), type: ggmlTypes[dtype.toLowerCase() as keyof typeof ggmlTypes], bytes }));
  await writeTensors(path, ggufHeader(metadata, infos), tensors, ggufAlignment, options);
}

function refuseUnsayable(source: string, config: GemmaConfig): void {
  const refuse = (what: string): never => {
    throw new LodestoneError(ExitCode.badModel, `${source}: ${what}, which a GGUF file can't say; convert it to a directory instead`);
  };
  if (config.ropeGlobal === null || config.globalLogScale || config.prompt !== 'gemma-chat') refuse('is one of our own models, with switches of its own');
  if (config.scale !== ggufScale(config)) refuse(`has attention logits with the factor ${config.scale}`);
}

function configEntries(config: GemmaConfig): Record<string, MetadataEntry> {
  const { base, factor } = config.ropeGlobal!;
  const kinds = config.layers.map(({ kind }) => kind);
  const windowed = kinds.includes('local');
  return {
    'gemma3.context_length': { u32: config.maxPositions },
    'gemma3.embedding_length': { u32: config.hiddenSize },
    'gemma3.block_count': { u32: config.layers.length },
    'gemma3.feed_forward_length': { u32: config.intermediateSize },
    'gemma3.attention.head_count': { u32: config.heads },
    'gemma3.attention.head_count_kv': { u32: config.kvHeads },
    'gemma3.attention.key_length': { u32: config.headDim },
    'gemma3.attention.value_length': { u32: config.headDim },
    'gemma3.attention.layer_norm_rms_epsilon': { f32: config.eps },
    ...(windowed ? { 'gemma3.attention.sliding_window': { u32: config.window } } : {}),
    // Every reader takes the last of six for the global one, unless it is told.
    ...(!windowed || kinds.every((kind, i) => (kind === 'global') === ((i + 1) % 6 === 0)) ? {} : { 'gemma3.attention.sliding_window_pattern': { bools: kinds.map((kind) => kind === 'local') } }),
    'gemma3.rope.freq_base': { f32: base },
    'gemma3.rope.freq_base_swa': { f32: config.ropeLocalBase },
    ...(factor === 1 ? {} : { 'gemma3.rope.scaling.type': { text: 'linear' }, 'gemma3.rope.scaling.factor': { f32: factor } }),
  };
}

function vocabularyEntries({ tokens, scores, types }: GgufVocabulary): Record<string, MetadataEntry> {
  const named = Object.entries({ bos: '<bos>', eos: '<eos>', unknown: '<unk>', padding: '<pad>' }).flatMap(([key, name]): [string, MetadataEntry][] => {
    const id = tokens.indexOf(name);
    return id < 0 ? [] : [[`tokenizer.ggml.${key}_token_id`, { u32: id }]];
  });
  return {
    'tokenizer.ggml.model': { text: 'llama' },
    'tokenizer.ggml.pre': { text: 'default' },
    'tokenizer.ggml.tokens': { texts: tokens },
    'tokenizer.ggml.scores': { f32s: scores },
    'tokenizer.ggml.token_type': { i32s: types },
    ...Object.fromEntries(named),
    'tokenizer.ggml.add_bos_token': { bool: true },
    'tokenizer.ggml.add_eos_token': { bool: false },
    'tokenizer.ggml.add_space_prefix': { bool: false },
  };
}

async function folderVocabulary(dir: string, size: number): Promise<GgufVocabulary> {
  const path = join(dir, 'tokenizer.json');
  const text = await readFile(path, 'utf8');
  return ggufVocabulary(JSON.parse(text), size, (what) => {
    throw new LodestoneError(ExitCode.badModel, `${path}: ${what}`);
  });
}
