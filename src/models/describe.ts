/** What a model's files say about it, without its weights and its tokenizer: for lists, and for messages. */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LodestoneError } from '../errors.js';
import { ggufHeaders } from '../runtime/gguf-headers.js';
import { isGguf, openModelHeaders, type ModelHeaders } from '../runtime/model.js';
import { openSpeechFiles } from '../speech/files.js';
import { openGguf } from '../weights/gguf.js';
import type { Checkpoint } from '../weights/safetensors.js';
import { folderFamily, type Declared, type Family } from './family.js';
import { looksLikeGemma3, type Candidate, type Store } from './stores.js';

/** A model on this machine. */
export interface StoredModel {
  /** What `-m`, or for Whisper `--speech`, takes. */
  readonly name: string;
  readonly id: string;
  readonly store: Store;
  readonly path: string;
  /** null: broken before it could be told. */
  readonly family: Family | null;
  readonly format: 'safetensors' | 'gguf' | null;
  /** Of the files with weights. */
  readonly bytes: number | null;
  readonly parameters: number | null;
  /** Formats of the matrices in the file, that of most elements first: "BF16", "Q4_0+Q6_K". */
  readonly quantization: string | null;
  /** Tokens; null for a speech model. */
  readonly context: number | null;
  /** How many languages a speech model hears. */
  readonly languages: number | null;
  /** Why it can't be used; null where it can. */
  readonly problem: string | null;
}

/** null: of another family than ours. What is one of ours and can't be used is described with its problem. */
export async function describe(candidate: Candidate): Promise<StoredModel | null> {
  const { name, id, store, path } = candidate;
  const unknown = { name, id, store, path, family: null, format: null, bytes: null, parameters: null, quantization: null, context: null, languages: null };
  if (candidate.problem !== undefined) return { ...unknown, problem: candidate.problem };
  let family: Family | null = null;
  try {
    const files = await look(path, id);
    if (files.type !== null && files.family === null) return null;
    ({ family } = files);
    return { ...unknown, family, ...(await files.describe()), problem: null };
  } catch (error) {
    const noTokenizer = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!(error instanceof LodestoneError) && !noTokenizer) throw error;
    // Nobody else's damage is reported, unless the files or the name say that it was meant to be one of ours.
    if (family === null && store !== 'lodestone' && store !== 'embedded' && !looksLikeGemma3(name) && !looksLikeGemma3(id)) return null;
    return { ...unknown, family, problem: noTokenizer ? 'no tokenizer.json' : withoutPath((error as Error).message, path) };
  }
}

type Storage = Pick<StoredModel, 'format' | 'bytes' | 'parameters' | 'quantization' | 'context' | 'languages'>;

/** What a directory's config or a GGUF file's metadata say that it is, and the rest when it is asked for. */
interface Files extends Declared {
  describe(): Promise<Storage>;
}

/** Errors: LodestoneError(badModel) for a file that is no GGUF file. */
async function look(path: string, id: string): Promise<Files> {
  if ((await stat(path).catch(() => null))?.isDirectory() === true) {
    const declared = await folderFamily(path);
    return { ...declared, describe: async () => (declared.family === 'whisper' ? describeSpeech(path) : describeGemma(await openModelHeaders(path, { id }))) };
  }
  const gguf = await openGguf(path);
  const architecture = gguf.metadata.get('general.architecture');
  const type = typeof architecture === 'string' ? architecture : null;
  return { type, family: type === 'gemma3' ? type : null, describe: async () => describeGemma(ggufHeaders(gguf, { id })) };
}

async function describeGemma({ checkpoint, config }: ModelHeaders): Promise<Storage> {
  const gguf = isGguf(checkpoint);
  // The tokenizer takes long to open; that it is there is seen quickly.
  if (!gguf) await stat(join(dirname(checkpoint.files[0]!), 'tokenizer.json'));
  return { ...(await storage(checkpoint)), format: gguf ? 'gguf' : 'safetensors', context: config.maxPositions, languages: null };
}

async function describeSpeech(path: string): Promise<Storage> {
  const { checkpoint, config } = await openSpeechFiles(path);
  await stat(join(path, 'tokenizer.json')).catch(() => stat(join(path, 'vocab.json')));
  return { ...(await storage(checkpoint)), format: 'safetensors', context: null, languages: Math.max(1, config.tokens.languages.size) };
}

async function storage(checkpoint: Checkpoint): Promise<Pick<StoredModel, 'bytes' | 'parameters' | 'quantization'>> {
  return { bytes: await fileBytes(checkpoint.files), parameters: parameterCount(checkpoint), quantization: storedQuantization(checkpoint) };
}

/** The list has the path in a column of its own. */
function withoutPath(message: string, path: string): string {
  return message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message;
}

export async function fileBytes(files: readonly string[]): Promise<number> {
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Numbers in all tensors, those of a vision part among them. */
export function parameterCount({ tensors }: Checkpoint): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elements(shape), 0);
}

/** Formats of the matrices, that of most elements first. */
export function storedQuantization({ tensors }: Checkpoint): string {
  const counts = new Map<string, number>();
  for (const { dtype, shape } of tensors.values()) {
    if (shape.length >= 2) counts.set(dtype, (counts.get(dtype) ?? 0) + elements(shape));
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([dtype]) => dtype).join('+');
}
