/** A model, opened: a directory of `config.json`, safetensors and `tokenizer.json`, or a GGUF file, which holds all three. */
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Device } from '../device/device.js';
import { openGgufTokenizer, openTokenizer, type Tokenizer } from '../encode/tokenizer.js';
import { abortError, ExitCode, LodestoneError } from '../errors.js';
import { parseConfig, type GemmaConfig } from '../gemma/config.js';
import { parseGgufConfig } from '../gemma/gguf-config.js';
import { parseGgufVisionConfig } from '../gemma/gguf-vision-config.js';
import { loadVisionWeights, locateGgufVisionWeights, locateVisionWeights, type LoadedVision, type VisionPlaces } from '../gemma/vision-weights.js';
import { loadGemmaWeights, locateGemmaWeights, locateGgufWeights, type GemmaPlaces, type GemmaWeights, type Quantize } from '../gemma/weights.js';
import { openGguf } from '../weights/gguf.js';
import { openCheckpoint, type Checkpoint } from '../weights/safetensors.js';

/** A model whose weights are found and checked, and not read. */
export interface ModelFiles {
  /** The base name of the directory, or of the file without `.gguf`. */
  readonly id: string;
  readonly config: GemmaConfig;
  readonly tokenizer: Tokenizer;
  readonly checkpoint: Checkpoint;
  readonly places: GemmaPlaces;
  /** Of the vision tower; null: this model reads text only. */
  readonly visionPlaces: VisionPlaces | null;
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
 * @param mmproj a GGUF file of the vision part, for a GGUF file
 * Errors: LodestoneError(badModel), one line that says what is missing or wrong, and where.
 */
export async function openModelFiles(path: string, mmproj?: string): Promise<ModelFiles> {
  const info = await stat(path).catch((cause: unknown) => {
    throw bad(`${path === '' ? '""' : path}: no such ${ggufName.test(path) ? 'file' : 'model directory'}`, cause);
  });
  if (mmproj !== undefined && info.isDirectory()) throw bad(`${mmproj}: ${path} is a directory, which holds its vision part itself; a file of it goes with a GGUF file`);
  const files = await (info.isDirectory() ? openModelDir(path) : openGgufModel(path, mmproj));
  const { config, tokenizer } = files;
  if (tokenizer.largestTextId >= config.vocabSize) {
    throw bad(`${path}: the tokenizer has ids up to ${tokenizer.largestTextId}, but the config says that there are ${config.vocabSize}`);
  }
  return files;
}

async function openModelDir(dir: string): Promise<ModelFiles> {
  const config = await openConfig(dir);
  const checkpoint = await openCheckpoint(dir);
  const places = locateGemmaWeights(checkpoint, config);
  const tokenizer = await openTokenizer(dir);
  const visionPlaces = config.vision && locateVisionWeights(checkpoint, config.vision, config.hiddenSize);
  return { id: basename(resolve(dir)), config, tokenizer, checkpoint, places, visionPlaces };
}

async function openGgufModel(path: string, mmproj?: string): Promise<ModelFiles> {
  if (!ggufName.test(path)) throw bad(`${path}: is not a model directory, and not a .gguf file`);
  const checkpoint = await openGguf(path);
  const text = parseGgufConfig(checkpoint);
  const visionFile = mmproj === undefined ? null : await openGguf(mmproj);
  const config = visionFile ? { ...text, vision: parseGgufVisionConfig(visionFile, text.hiddenSize) } : text;
  const places = locateGgufWeights(checkpoint, config);
  const tokenizer = openGgufTokenizer(checkpoint, config.vocabSize);
  const visionPlaces = visionFile && config.vision && locateGgufVisionWeights(visionFile, config.vision, config.hiddenSize);
  return { id: basename(path).replace(ggufName, ''), config, tokenizer, checkpoint, places, visionPlaces };
}

/** Errors: LodestoneError(badModel), LodestoneError(outOfMemory); the signal's reason. */
export async function loadModel(files: ModelFiles, device: Device, options: LoadOptions = {}): Promise<Model> {
  const { id, config, tokenizer, checkpoint, places } = files;
  const { visionPlaces } = files;
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
