/**
 * `lodestone models convert`: a model directory or a GGUF file -> a model directory of ours (weights/safetensors.ts says how
 * blocks are stored there) or a GGUF file, its matrices in another format. What a tensor becomes is in conversion-tensors.ts.
 *
 * Vectors and, of safetensors in a directory, all that is not the text model's stay as they are.
 */
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ggufTokens } from '../encode/gguf-tokenizer.js';
import { tokenizerJson } from '../encode/tokenizer-json.js';
import { ExitCode, LodestoneError } from '../errors.js';
import { embedScale, parseConfig, type GemmaConfig } from '../gemma/config.js';
import { isGguf, openModelFiles, openModelHeaders, type ModelHeaders } from '../runtime/model.js';
import { planTensors, targetFormat, totalBytes, writeTensors, type ConversionTarget, type ConvertOptions, type NewTensor } from './conversion-tensors.js';
import { writeGguf } from './convert-gguf.js';
import type { ModelPlace } from './resolve.js';

export interface Conversion {
  readonly schema: 'lodestone.conversion/1';
  readonly path: string;
  readonly to: ConversionTarget;
  /** Of the weights, before and after. */
  readonly bytes: { readonly source: number; readonly result: number };
  /** Tensors of the source that are not in the result: the vision part, of or for a GGUF file. */
  readonly left_out: number;
}

/**
 * @param destination a file name that ends in .gguf and is free, or a directory that is not there, or empty
 * Errors: LodestoneError(usage) for a destination that is taken; (badModel) for a source that can't be read or does not fit
 * the format; the signal's reason. Then nothing is left at the destination.
 */
export async function convertModel(source: ModelPlace, destination: string, to: ConversionTarget, options: ConvertOptions): Promise<Conversion> {
  const headers = await openModelHeaders(source.path, { id: source.id });
  const target = resolve(destination);
  const container = /\.gguf$/i.test(destination) ? 'gguf' : 'directory';
  await checkFree(target, destination, container);
  const tensors = planTensors(headers, to, container);
  const growing = join(dirname(target), `.${basename(target)}.partial-${process.pid}`);
  try {
    if (container === 'gguf') {
      await mkdir(dirname(growing), { recursive: true });
      await writeGguf(source.path, growing, headers, tensors, to, options);
    } else {
      await mkdir(growing, { recursive: true });
      await writeTexts(source.path, growing, headers, to);
      await writeTensors(join(growing, 'model.safetensors'), headerOf(tensors), tensors, 1, options);
    }
    await openModelFiles(growing);
    // An empty directory gives way.
    await rename(growing, target);
  } catch (error) {
    await rm(growing, { recursive: true, force: true }).catch(() => undefined);
    if (error instanceof LodestoneError || options.signal.aborted) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new LodestoneError(code === 'ENOSPC' || code === 'EDQUOT' ? ExitCode.outOfMemory : ExitCode.badModel, `${destination}: can't be written (${message})`, { cause: error });
  }
  return {
    schema: 'lodestone.conversion/1',
    path: target,
    to,
    bytes: { source: totalBytes([...headers.checkpoint.tensors.values()]), result: totalBytes(tensors) },
    left_out: headers.checkpoint.tensors.size - tensors.length,
  };
}

async function checkFree(target: string, shown: string, container: 'directory' | 'gguf'): Promise<void> {
  const info = await stat(target).catch(() => null);
  if (info === null || (container === 'directory' && info.isDirectory() && (await readdir(target)).length === 0)) return;
  throw new LodestoneError(ExitCode.usage, `${shown}: is there already; name a ${container === 'gguf' ? 'file' : 'directory'} that is not`);
}

/** Length and JSON, padded with spaces so that the data starts at a multiple of 8. */
function headerOf(tensors: readonly NewTensor[]): Buffer {
  const metadata: Record<string, string> = { format: 'pt' };
  const entries: Record<string, unknown> = { __metadata__: metadata };
  let at = 0;
  for (const { name, matrix, dtype, shape, bytes, entry } of tensors) {
    const format = matrix?.to ?? dtype.toLowerCase();
    const blocks = format === 'q8_0' || format === 'q4_0';
    // Blocks that are copied (a tensor that is not the text model's) keep what they are, too.
    if (blocks) metadata[`block_format.${name}`] = format;
    const stored = blocks ? [shape[0]!, bytes / shape[0]!] : matrix === null ? entry.shape : shape;
    entries[name] = { dtype: blocks ? 'U8' : dtype, shape: stored, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded]);
}

const textFiles = ['generation_config.json', 'tokenizer_config.json', 'chat_template.jinja', 'preprocessor_config.json', 'processor_config.json'];

/** config.json, the tokenizer and what else goes with them. */
async function writeTexts(source: string, dir: string, { config, checkpoint, places }: ModelHeaders, to: ConversionTarget): Promise<void> {
  const dtype = targetFormat(places.embedding.format, to).toUpperCase();
  const json = isGguf(checkpoint) ? { ...configJson(config), tie_word_embeddings: places.head === null } : (JSON.parse(await readFile(join(source, 'config.json'), 'utf8')) as Record<string, unknown>);
  await writeFile(join(dir, 'config.json'), `${JSON.stringify(withScale(json, places.embedScale, dtype), null, 2)}\n`);
  if (isGguf(checkpoint)) {
    await writeFile(join(dir, 'generation_config.json'), `${JSON.stringify({ eos_token_id: config.eosIds })}\n`);
    await writeFile(join(dir, 'tokenizer.json'), `${JSON.stringify(tokenizerJson(ggufTokens(checkpoint, config.vocabSize)))}\n`);
    const template = checkpoint.metadata.get('tokenizer.chat_template');
    if (typeof template === 'string') await writeFile(join(dir, 'chat_template.jinja'), template);
    return;
  }
  await copyFile(join(source, 'tokenizer.json'), join(dir, 'tokenizer.json'));
  for (const name of textFiles) {
    await copyFile(join(source, name), join(dir, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

/** The factor of the embeddings follows from their format; where that changes it, the config says what it was. */
function withScale(json: Record<string, unknown>, scale: number, dtype: string): Record<string, unknown> {
  const config = parseConfig(json, 'config.json');
  if (embedScale(config, dtype) === scale) return json;
  const exact = scale === Math.sqrt(config.hiddenSize);
  return { ...json, lodestone: { prompt: config.prompt, ...(json['lodestone'] as object | undefined), embed_scale: exact ? 'exact' : 'bf16' } };
}

/** A GGUF file's config as a config.json that says the same. */
export function configJson(config: GemmaConfig): Record<string, unknown> {
  const { ropeGlobal } = config;
  return {
    architectures: ['Gemma3ForCausalLM'],
    model_type: 'gemma3_text',
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers.length,
    layer_types: config.layers.map(({ kind }) => (kind === 'local' ? 'sliding_attention' : 'full_attention')),
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    // (x^-1/2)^-2, which is x again only when rounded.
    query_pre_attn_scalar: nearestRoot(config.scale),
    sliding_window: config.window,
    rope_local_base_freq: config.ropeLocalBase,
    rope_theta: ropeGlobal!.base,
    rope_scaling: ropeGlobal!.factor === 1 ? null : { rope_type: 'linear', factor: ropeGlobal!.factor },
    vocab_size: config.vocabSize,
    rms_norm_eps: config.eps,
    max_position_embeddings: config.maxPositions,
    hidden_activation: 'gelu_pytorch_tanh',
    eos_token_id: config.eosIds,
  };
}

/** x with x^-1/2 = scale to the bit: a whole number, or a simple fraction (d / heads of odd sizes). */
function nearestRoot(scale: number): number {
  const x = scale ** -2;
  return [Math.round(x), x].find((candidate) => candidate ** -0.5 === scale) ?? x;
}
