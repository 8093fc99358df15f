/** A model, opened: a directory of `config.json`, safetensors and `tokenizer.json`, or a GGUF file, which holds all three. */
import { open, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Device } from '../device/device.js';
import { openTokenizer, type Tokenizer } from '../encode/tokenizer.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { parseConfig, type GemmaConfig } from '../gemma/config.js';
import { loadVisionWeights, locateVisionWeights, type LoadedVision, type VisionPlaces } from '../gemma/vision-weights.js';
import { loadGemmaWeights, locateGemmaWeights, type GemmaPlaces, type GemmaWeights, type Quantize } from '../gemma/weights.js';
import type { Gguf } from '../weights/gguf.js';
import { openCheckpoint, type Checkpoint } from '../weights/safetensors.js';

/** What the headers of a model's files say: the architecture, and where its weights lie. */
export interface ModelHeaders {
  /** The base name of the directory, or of the file without `.gguf`, unless the caller gave another. */
  readonly id: string;
  readonly config: GemmaConfig;
  readonly checkpoint: Checkpoint;
  readonly places: GemmaPlaces;
  /** Of the vision tower; null: this model reads text only. */
  readonly visionPlaces: VisionPlaces | null;
}

/** A model whose weights are found and checked, and not read. */
export interface ModelFiles extends ModelHeaders {
  readonly tokenizer: Tokenizer;
}

export interface OpenOptions {
  /** What to call the model; stores may keep files under names that say nothing. */
  readonly id?: string | undefined;
  /** A GGUF file of the vision part, for a GGUF file. */
  readonly mmproj?: string | undefined;
}

export interface LoadOptions {
  /** What dense matrices become on the device; 'none': all stay as in the files. */
  readonly quantize?: Quantize;
  /** Load the vision tower too, where there is one. Default false. */
  readonly images?: boolean;
  readonly signal?: AbortSignal;
}

export interface Model {
  /** As in `ModelFiles`. */
  readonly id: string;
  readonly device: Device;
  readonly config: GemmaConfig;
  readonly weights: GemmaWeights;
  /** null: text only, or not asked for. */
  readonly vision: LoadedVision | null;
  readonly tokenizer: Tokenizer;
  /** Formats of the matrices on the device, that of most elements first: "bf16", "q4_0+q8_0". */
  readonly quantization: string;
  /** Of all matrices and gains, as stored. */
  readonly weightBytes: number;
  /** The files that hold the weights. */
  readonly weightFiles: readonly string[];
  /** Gives the model's buffers back; matrices live until the device is closed. */
  close(): Promise<void>;
}

const ggufName = /\.gguf$/i;

/**
 * @param path a model directory or a GGUF file
 * Errors: LodestoneError(badModel), one line that says what is missing or wrong, and where.
 */
export async function openModelFiles(path: string, options: OpenOptions = {}): Promise<ModelFiles> {
  const headers = await openModelHeaders(path, options);
  const { config, checkpoint } = headers;
  const tokenizer = isGguf(checkpoint) ? await openGgufTokenizer(checkpoint, config.vocabSize) : await openTokenizer(path);
  if (tokenizer.largestTextId >= config.vocabSize) {
    throw bad(`${path}: the tokenizer has ids up to ${tokenizer.largestTextId}, but the config says that there are ${config.vocabSize}`);
  }
  return { ...headers, tokenizer };
}

/** The same without the tokenizer, which takes the longest to open. */
export async function openModelHeaders(path: string, { id, mmproj }: OpenOptions = {}): Promise<ModelHeaders> {
  const info = await stat(path).catch((cause: unknown) => {
    throw bad(`${path === '' ? '""' : path}: no such ${ggufName.test(path) ? 'file' : 'model directory'}`, cause);
  });
  if (!info.isDirectory()) {
    if (!ggufName.test(path) && !(await beginsAsGguf(path))) throw bad(`${path}: is not a model directory, and not a .gguf file`);
    const { openGgufHeaders } = await import('./gguf-headers.js');
    return openGgufHeaders(path, { id, mmproj });
  }
  if (mmproj !== undefined) throw bad(`${mmproj}: ${path} is a directory, which holds its vision part itself; a file of it goes with a GGUF file`);
  const config = await openConfig(path);
  const checkpoint = await openCheckpoint(path);
  const visionPlaces = config.vision && locateVisionWeights(checkpoint, config.vision, config.hiddenSize);
  return { id: id ?? basename(resolve(path)), config, checkpoint, places: locateGemmaWeights(checkpoint, config), visionPlaces };
}

export function isGguf(checkpoint: Checkpoint): checkpoint is Gguf {
  return 'metadata' in checkpoint;
}

async function openGgufTokenizer(checkpoint: Gguf, vocabSize: number): Promise<Tokenizer> {
  const gguf = await import('../encode/gguf-tokenizer.js');
  return gguf.openGgufTokenizer(checkpoint, vocabSize);
}

/** Stores that name files by their hash give them no extension. */
async function beginsAsGguf(path: string): Promise<boolean> {
  const file = await open(path).catch(() => null);
  if (file === null) return false;
  try {
    const magic = Buffer.alloc(4);
    await file.read(magic, 0, 4, 0);
    return magic.toString('latin1') === 'GGUF';
  } catch {
    return false;
  } finally {
    await file.close();
  }
}

/** Errors: LodestoneError(badModel), LodestoneError(outOfMemory); the signal's reason. */
export async function loadModel(files: ModelFiles, device: Device, options: LoadOptions = {}): Promise<Model> {
  const { id, config, tokenizer, checkpoint, places, visionPlaces } = files;
  const { quantize = 'none', images = false, signal } = options;
  if (signal?.aborted) throw abortError(signal);
  const weights = await loadGemmaWeights(device, checkpoint, config, quantize, signal, places);
  const vision = images && visionPlaces ? await loadVisionWeights(device, visionPlaces, signal) : null;
  return {
    id,
    device,
    config,
    weights,
    vision,
    tokenizer,
    quantization: weights.quantization,
    weightBytes: weights.bytes,
    weightFiles: checkpoint.files,
    close: async () => {
      for (const buffer of [...weights.buffers, ...(vision?.buffers ?? [])]) device.destroyBuffer(buffer);
    },
  };
}

/** Opens and loads. */
export async function openModel(dir: string, device: Device, options: LoadOptions = {}): Promise<Model> {
  if (options.signal?.aborted) throw abortError(options.signal);
  return loadModel(await openModelFiles(dir), device, options);
}

/** `config.json`, with the stop ids of `generation_config.json` where there is one. Errors: LodestoneError(badModel). */
export async function openConfig(dir: string): Promise<GemmaConfig> {
  const path = join(dir, 'config.json');
  const json = await readJson(path);
  if (json === undefined) {
    throw bad(`${dir}: no config.json (a model directory holds config.json, model.safetensors and tokenizer.json)`);
  }
  return parseConfig(json, path, await readJson(join(dir, 'generation_config.json')));
}

/** undefined where there is no such file. */
async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw bad(`${path}: can't be read (${(cause as Error).message})`, cause);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw bad(`${path}: is not JSON`, cause);
  }
}

function bad(message: string, cause?: unknown): LodestoneError {
  return new LodestoneError(ExitCode.badModel, message, cause === undefined ? undefined : { cause });
}
