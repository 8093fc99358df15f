/**
 * `lodestone models convert`: a model directory or a GGUF file -> a model directory of ours, its matrices in another
 * format (weights/safetensors.ts says how blocks are stored there). One tensor after another, a few rows at a time.
 *
 * Vectors and, of safetensors, all that is not the text model's stay as they are. A GGUF file's norms have had the 1 of
 * their gains added; it is taken off again, exactly so for gains that are 1 + w in float32.
 */
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ggufTokens } from '../encode/gguf-tokenizer.js';
import { tokenizerJson } from '../encode/tokenizer-json.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { embedScale, parseConfig, type GemmaConfig } from '../gemma/config.js';
import type { MatrixPlace } from '../gemma/weight-loader.js';
import { safetensorsNaming, type LayerPlaces, type VectorPlace } from '../gemma/weights.js';
import type { WeightFormat } from '../device/device.js';
import { isGguf, openModelFiles, openModelHeaders, type ModelHeaders } from '../runtime/model.js';
import { dequantizeBlocks, isBlockFormat, layouts, quantizeBlocks, storedBytes } from '../weights/blocks.js';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from '../weights/half.js';
import { q5ToQ8, unpackValues } from '../weights/packed.js';
import type { TensorEntry } from '../weights/safetensors.js';
import type { ModelPlace } from './resolve.js';

export const conversionTargets = ['q8_0', 'q4_0', 'bf16', 'f16'] as const;
export type ConversionTarget = (typeof conversionTargets)[number];

export interface ConvertOptions {
  readonly signal: AbortSignal;
  /** Bytes of the new weights. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Conversion {
  readonly schema: 'lodestone.conversion/1';
  readonly path: string;
  readonly to: ConversionTarget;
  /** Of the weights, before and after. */
  readonly bytes: { readonly source: number; readonly result: number };
  /** Tensors of the source that are not in the result: the vision part inside a GGUF file. */
  readonly left_out: number;
}

/** Numbers that are held at a time. */
const chunkElements = 2 ** 20;

/**
 * @param destination a directory that is not there, or empty
 * Errors: LodestoneError(usage) for a destination that is taken; (badModel) for a source that can't be read or does not fit
 * the format; the signal's reason. Then nothing is left at the destination.
 */
export async function convertModel(source: ModelPlace, destination: string, to: ConversionTarget, options: ConvertOptions): Promise<Conversion> {
  const headers = await openModelHeaders(source.path, { id: source.id });
  const target = resolve(destination);
  await checkFree(target, destination);
  const tensors = planTensors(headers, to);
  const growing = join(dirname(target), `.${basename(target)}.partial-${process.pid}`);
  try {
    await mkdir(growing, { recursive: true });
    await writeTexts(source.path, growing, headers, to);
    await writeWeights(join(growing, 'model.safetensors'), tensors, options);
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
  const sourceBytes = [...headers.checkpoint.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    schema: 'lodestone.conversion/1',
    path: target,
    to,
    bytes: { source: sourceBytes, result: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0) },
    left_out: headers.checkpoint.tensors.size - tensors.length,
  };
}

async function checkFree(target: string, shown: string): Promise<void> {
  const info = await stat(target).catch(() => null);
  if (info === null || (info.isDirectory() && (await readdir(target)).length === 0)) return;
  throw new LodestoneError(ExitCode.usage, `${shown}: is there already; name a directory that is not`);
}

/** A tensor of the new file. */
interface NewTensor {
  readonly name: string;
  readonly entry: TensorEntry;
  /** Numbers of a row of a matrix; null: copied, or shifted. */
  readonly matrix: { readonly from: WeightFormat; readonly to: WeightFormat; readonly inputs: number; readonly outputs: number } | null;
  /** Added to each number of a vector, which becomes F32. 0: copied. */
  readonly add: number;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

function planTensors({ checkpoint, places }: ModelHeaders, to: ConversionTarget): NewTensor[] {
  const gguf = isGguf(checkpoint);
  const naming = safetensorsNaming('model.');
  const nameOf = (entry: TensorEntry, name: string): string => (gguf ? name : entry.name);
  const planned: NewTensor[] = [];
  const matrix = (place: MatrixPlace, name: string): void => {
    planned.push(planMatrix(place, nameOf(place.entry, name), to));
  };
  const vector = ({ entry, add }: VectorPlace, name: string, isGain: boolean): void => {
    const shift = gguf && isGain && add === 0 ? -1 : 0;
    const [dtype, bytes] = shift === 0 ? [entry.dtype, entry.bytes] : ['F32', entry.shape[0]! * 4];
    planned.push({ name: nameOf(entry, name), entry, matrix: null, add: shift, dtype, shape: entry.shape, bytes });
  };
  matrix(places.embedding, naming.embedding);
  if (places.head) matrix(places.head, naming.heads[0]!);
  places.layers.forEach((layer, i) => {
    for (const part of Object.keys(layer) as (keyof LayerPlaces)[]) {
      const place = layer[part];
      if (place === null) continue;
      const name = naming.layer(i) + naming.parts[part];
      if ('add' in place) vector(place, name, part !== 'logScale');
      else matrix(place, name);
    }
  });
  vector(places.finalNorm, naming.finalNorm, true);
  if (gguf) return planned;
  const used = new Set(planned.map(({ entry }) => entry.name));
  const others = [...checkpoint.tensors.values()].filter(({ name }) => !used.has(name));
  return [...planned, ...others.map((entry) => ({ name: entry.name, entry, matrix: null, add: 0, dtype: entry.dtype, shape: entry.shape, bytes: entry.bytes }))];
}

function planMatrix({ entry, format, inputs }: MatrixPlace, name: string, to: ConversionTarget): NewTensor {
  const target = targetFormat(format, to);
  const outputs = entry.shape[0]!;
  if (inputs % layouts[target].elements !== 0) {
    throw new LodestoneError(ExitCode.badModel, `${entry.path}: tensor ${entry.name} has rows of ${inputs} elements, and ${target} needs a multiple of ${layouts[target].elements}`);
  }
  const bytes = storedBytes(target, outputs * inputs);
  return { name, entry, matrix: { from: format, to: target, inputs, outputs }, add: 0, dtype: target.toUpperCase(), shape: [outputs, inputs], bytes };
}

/** q4_0 as q8_0 would hold nothing more: it stays. */
function targetFormat(from: WeightFormat, to: ConversionTarget): WeightFormat {
  return from === 'q4_0' && to === 'q8_0' ? 'q4_0' : to;
}

async function writeWeights(path: string, tensors: readonly NewTensor[], { signal, onProgress }: ConvertOptions): Promise<void> {
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const out = await open(path, 'wx');
  const inputs = new Map<string, FileHandle>();
  let done = 0;
  try {
    const header = headerOf(tensors);
    await out.write(header);
    let at = header.length;
    for (const tensor of tensors) {
      const { path: from } = tensor.entry;
      const file = inputs.get(from) ?? (await open(from));
      inputs.set(from, file);
      for await (const piece of encoded(tensor, file)) {
        if (signal.aborted) throw abortError(signal);
        for (let written = 0; written < piece.length; ) written += (await out.write(piece, written, piece.length - written, at + written)).bytesWritten;
        at += piece.length;
        done += piece.length;
        onProgress?.(done, total);
      }
    }
    await out.sync();
  } finally {
    await out.close();
    for (const file of inputs.values()) await file.close();
  }
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

/** The bytes of a tensor as they will be stored, a few rows at a time. */
async function* encoded({ entry, matrix, add }: NewTensor, file: FileHandle): AsyncGenerator<Uint8Array> {
  if (matrix !== null && matrix.from !== matrix.to) {
    const { from, to, inputs, outputs } = matrix;
    const rows = Math.max(1, Math.floor(chunkElements / inputs));
    const rowBytes = storedBytes(from, inputs);
    for (let row = 0; row < outputs; row += rows) {
      const count = Math.min(rows, outputs - row);
      const bytes = await read(file, entry, row * rowBytes, count * rowBytes);
      // The same scales and integers, as when it is loaded so.
      yield from === 'q5_0' && to === 'q8_0' ? q5ToQ8(bytes) : encode(decode(from, bytes), to, entry);
    }
    return;
  }
  if (add !== 0) {
    const values = decode(entry.dtype.toLowerCase() as WeightFormat, await read(file, entry, 0, entry.bytes));
    yield encode(values.map((value) => Math.fround(value + add)), 'f32', entry);
    return;
  }
  const most = chunkElements * 4;
  for (let from = 0; from < entry.bytes; from += most) yield read(file, entry, from, Math.min(most, entry.bytes - from));
}

async function read(file: FileHandle, { path, name, offset }: TensorEntry, from: number, bytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const data = new Uint8Array(bytes);
  for (let got = 0; got < bytes; ) {
    const { bytesRead } = await file.read(data, got, bytes - got, offset + from + got);
    if (bytesRead === 0) throw new LodestoneError(ExitCode.badModel, `${path}: ends inside tensor ${name}`);
    got += bytesRead;
  }
  return data;
}

function decode(format: WeightFormat, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  if (format === 'f32') return new Float32Array(bytes.buffer);
  if (format === 'f16' || format === 'bf16') {
    const halves = new Uint16Array(bytes.buffer);
    const widen = format === 'f16' ? f16ToF32 : bf16ToF32;
    const values = new Float32Array(halves.length);
    // Twenty times as fast as Float32Array.from.
    for (let i = 0; i < halves.length; i++) values[i] = widen(halves[i]!);
    return values;
  }
  return isBlockFormat(format) ? dequantizeBlocks(format, bytes) : unpackValues(format, bytes);
}

function encode(values: Float32Array, format: WeightFormat, { path, name }: TensorEntry): Uint8Array {
  if (isBlockFormat(format)) return quantizeBlocks(format, values);
  if (format === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const halves = new Uint16Array(values.length);
  const narrow = format === 'f16' ? f32ToF16 : f32ToBf16;
  for (let i = 0; i < values.length; i++) {
    halves[i] = narrow(values[i]!);
    if (format === 'f16' && (halves[i]! & 0x7fff) === 0x7c00 && Number.isFinite(values[i])) {
      throw new LodestoneError(ExitCode.badModel, `${path}: tensor ${name} holds ${values[i]}, more than f16 can; bf16 holds it`);
    }
  }
  return new Uint8Array(halves.buffer);
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
