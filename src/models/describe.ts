/** What a model's files say about it, without its weights and its tokenizer: for lists, and for messages. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LodestoneError } from '../errors.js';
import { ggufHeaders } from '../runtime/gguf-headers.js';
import { openModelHeaders, type ModelHeaders } from '../runtime/model.js';
import { openGguf } from '../weights/gguf.js';
import type { Checkpoint } from '../weights/safetensors.js';
import { looksLikeGemma3, type Candidate, type Store } from './stores.js';

/** A Gemma 3 on this machine. */
export interface StoredModel {
  /** What `-m` takes. */
  readonly name: string;
  readonly id: string;
  readonly store: Store;
  readonly path: string;
  readonly format: 'safetensors' | 'gguf' | null;
  /** Of the files with weights. */
  readonly bytes: number | null;
  readonly parameters: number | null;
  /** Formats of the matrices in the file, that of most elements first: "BF16", "Q4_0+Q6_K". */
  readonly quantization: string | null;
  /** Tokens. */
  readonly context: number | null;
  /** Why it can't be used; null where it can. */
  readonly problem: string | null;
}

/** null: not a Gemma 3. What is one and can't be used is described with its problem. */
export async function describe(candidate: Candidate): Promise<StoredModel | null> {
  const { name, id, store, path } = candidate;
  const broken = (problem: string): StoredModel => ({ name, id, store, path, format: null, bytes: null, parameters: null, quantization: null, context: null, problem });
  if (candidate.problem !== undefined) return broken(candidate.problem);
  try {
    const headers = await gemmaHeaders(path, id);
    if (headers === null) return null;
    const { checkpoint, config } = headers;
    const format = 'metadata' in checkpoint ? 'gguf' : 'safetensors';
    // The tokenizer takes long to open; that it is there is seen quickly.
    if (format === 'safetensors') await stat(join(path, 'tokenizer.json'));
    const storage = { format, bytes: await fileBytes(checkpoint.files), parameters: parameterCount(checkpoint), quantization: storedQuantization(checkpoint) } as const;
    return { ...broken(''), ...storage, context: config.maxPositions, problem: null };
  } catch (error) {
    const noTokenizer = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!(error instanceof LodestoneError) && !noTokenizer) throw error;
    // Nobody else's damage is reported, unless the name says that it was meant to be one of ours.
    if (store !== 'lodestone' && store !== 'embedded' && !looksLikeGemma3(name) && !looksLikeGemma3(id) && !(error instanceof KnownGemma)) return null;
    return broken(noTokenizer ? 'no tokenizer.json' : withoutPath((error as Error).message, path));
  }
}

/** Its architecture was read, and then something was wrong. */
class KnownGemma extends LodestoneError {}

/** The headers of a Gemma 3; null where the files say that they are of another architecture. */
async function gemmaHeaders(path: string, id: string): Promise<ModelHeaders | null> {
  const open = await openArchitecture(path, id);
  if (open.architecture !== null && !open.gemma3) return null;
  try {
    return await open.headers();
  } catch (error) {
    if (error instanceof LodestoneError && open.gemma3) throw new KnownGemma(error.exitCode, error.message, { cause: error });
    throw error;
  }
}

interface OpenArchitecture {
  readonly architecture: string | null;
  readonly gemma3: boolean;
  headers(): Promise<ModelHeaders>;
}

async function openArchitecture(path: string, id: string): Promise<OpenArchitecture> {
  if ((await stat(path).catch(() => null))?.isDirectory() !== true) {
    const gguf = await openGguf(path);
    const found = gguf.metadata.get('general.architecture');
    return { architecture: typeof found === 'string' ? found : null, gemma3: found === 'gemma3', headers: async () => ggufHeaders(gguf, { id }) };
  }
  const json = await readFile(join(path, 'config.json'), 'utf8').then((text) => JSON.parse(text) as unknown).catch(() => null);
  const found = (json as { model_type?: unknown } | null)?.model_type;
  return { architecture: typeof found === 'string' ? found : null, gemma3: found === 'gemma3' || found === 'gemma3_text', headers: () => openModelHeaders(path, { id }) };
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
