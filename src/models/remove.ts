/** `lodestone models rm`: from our own store, and from nobody else's. */
import { readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { partPaths } from '../weights/gguf-parts.js';
import { fileMatches, isVisionPart, parseRepoName } from './names.js';
import { ownFolders, partialFolder, recordPath, removeEmpty } from './own.js';
import { storePlaces, surroundings, type Surroundings } from './places.js';
import { resolveModel } from './resolve.js';
import type { Store } from './stores.js';

export interface Removal {
  readonly name: string;
  readonly bytes: number;
  /** All of them under `own`; the model itself first. */
  readonly paths: readonly string[];
  readonly own: string;
}

const owners: Readonly<Record<Exclude<Store, 'lodestone'>, string>> = {
  embedded: 'comes with Lodestone',
  'hugging-face': "is in Hugging Face's cache, which belongs to its programs (hf cache delete)",
  'llama.cpp': "is in llama.cpp's cache, which belongs to llama.cpp",
  'lm-studio': "is in LM Studio's store, which belongs to LM Studio",
  ollama: "is in Ollama's store, which belongs to Ollama (ollama rm)",
};

/** What would be removed. Errors: LodestoneError(badModel) for a model that is not there; (usage) for one that is not ours. */
export async function planRemoval(model: string, where: Surroundings = surroundings()): Promise<Removal> {
  const { own } = await storePlaces(where);
  const partial = await unfinished(model, own);
  let place;
  try {
    place = await resolveModel(model, where);
  } catch (error) {
    if (partial.length > 0) return { name: `${model}, unfinished`, bytes: await sizeOf(partial), paths: partial, own };
    throw error;
  }
  if (place.store === null) throw new LodestoneError(ExitCode.usage, `${model === '' ? '""' : model}: is a path, not a model of our own store; remove it yourself`);
  if (place.store !== 'lodestone') throw new LodestoneError(ExitCode.usage, `${place.name}: ${owners[place.store]}; Lodestone removes nothing there`);
  const gguf = /\.gguf$/i.test(place.path);
  const vision = gguf && place.mmproj !== undefined && (await isLast(place.path)) ? [place.mmproj, recordPath(place.mmproj)] : [];
  const paths = [...partPaths(place.path), ...(gguf ? [recordPath(place.path)] : []), ...vision, ...partial];
  return { name: place.name, bytes: await sizeOf(paths), paths, own };
}

/** Is this the only model in its folder? Then the vision part that several share goes with it. */
async function isLast(path: string): Promise<boolean> {
  const own = new Set(partPaths(path).map((part) => basename(part)));
  return (await readdir(dirname(path))).every((name) => !/\.gguf$/i.test(name) || isVisionPart(name) || own.has(name));
}

/** What has come so far of a model that was not pulled to the end. */
async function unfinished(model: string, own: string): Promise<string[]> {
  if (!model.startsWith('hf:')) return [];
  const { owner, repo, quant } = parseRepoName('hf', model.slice('hf:'.length));
  const dir = partialFolder(own, owner, repo);
  const names = await readdir(dir).catch(() => [] as string[]);
  return names.filter((name) => (quant === null ? name === basename(ownFolders(own, owner, repo).safetensors) : fileMatches(name, quant))).map((name) => join(dir, name));
}

/** Errors: LodestoneError(badModel) where the system refuses. */
export async function removeModel({ name, paths, own }: Removal): Promise<void> {
  for (const path of paths) {
    await rm(path, { recursive: true, force: true }).catch((cause: unknown) => {
      throw new LodestoneError(ExitCode.badModel, `${name}: can't be removed (${(cause as Error).message})`, { cause });
    });
    await removeEmpty(dirname(path), own);
  }
}

async function sizeOf(paths: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const path of paths) {
    const info = await stat(path).catch(() => null);
    if (info === null) continue;
    bytes += info.isDirectory() ? await sizeOf((await readdir(path)).map((name) => join(path, name))) : info.size;
  }
  return bytes;
}
