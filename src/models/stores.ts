/**
 * What lies in the stores of models: every folder and file that may be a Gemma 3 or a Whisper, by the name that `-m` takes. Nothing is
 * opened but directories and manifests; `describe.ts` looks into the files.
 *
 * Hugging Face: models--org--name/snapshots/<commit>/file, links to blobs; refs/main holds the commit.
 * Ollama: manifests/<host>/<namespace>/<model>/<tag>, JSON with layers; blobs/sha256-<hash>.
 * LM Studio: publisher/model/file. llama.cpp: org_repo_file.gguf side by side, or Hugging Face's layout.
 * Ours: hf/org/repo/safetensors/ (a model directory) and hf/org/repo/gguf/file.gguf.
 * The vision part of a GGUF model (mmproj) lies beside it.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { embeddedModelDir } from '../paths.js';
import { ggufStem } from '../weights/gguf-parts.js';
import { ownFolders } from './own.js';
import { isVisionPart, preferredVisionPart, quantOfFile, showOllamaName, showRepoName, type OllamaName } from './names.js';
import type { StorePlaces } from './places.js';

export type Store = 'embedded' | 'lodestone' | 'hugging-face' | 'llama.cpp' | 'lm-studio' | 'ollama';

/** Something that may be a model. */
export interface Candidate {
  readonly store: Store;
  /** What `-m` takes. */
  readonly name: string;
  /** For people: the repository's or the file's name. */
  readonly id: string;
  /** A model directory or a GGUF file. */
  readonly path: string;
  /** The vision part of a GGUF file, where one lies beside it. */
  readonly mmproj?: string;
  /** Of repositories: where the model comes from. */
  readonly owner?: string;
  readonly repo?: string;
  /** Why it can't be used, where that shows from outside. */
  readonly problem?: string;
}

export interface Survey {
  /** Ours first, then the others, each in the order of names. */
  readonly candidates: readonly Candidate[];
  /** Folders of stores that are there and can't be read, one line each. */
  readonly unreadable: readonly string[];
}

/** GGUF files lie no deeper than this in a repository. */
const repositoryDepth = 2;

export async function survey(places: StorePlaces): Promise<Survey> {
  const unreadable: string[] = [];
  const folders = new Folders(unreadable);
  const embedded: Candidate = { store: 'embedded', name: basename(embeddedModelDir), id: basename(embeddedModelDir), path: embeddedModelDir };
  const candidates = [embedded, ...(await ownModels(folders, places.own))];
  for (const hub of places.huggingFace) candidates.push(...(await hubModels(folders, hub, 'hugging-face')));
  for (const dir of places.llamaCpp) candidates.push(...(await hubModels(folders, dir, 'llama.cpp')), ...(await flatModels(folders, dir)));
  for (const dir of places.lmStudio) candidates.push(...(await publisherModels(folders, dir)));
  for (const dir of places.ollama) candidates.push(...(await ollamaModels(folders, dir)));
  return { candidates, unreadable };
}

/** Directories, read; one that is not there is empty, and one that can't be read is noted. */
class Folders {
  constructor(private readonly unreadable: string[]) {}

  /** Names, sorted. */
  async names(dir: string): Promise<string[]> {
    try {
      return (await readdir(dir)).sort();
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') this.unreadable.push(`${dir}: can't be read (${message})`);
      return [];
    }
  }

  /** GGUF files in a directory and its folders, as paths from it; of a model in several parts the first. */
  async ggufs(dir: string, depth: number): Promise<string[]> {
    const found: string[] = [];
    for (const name of await this.names(dir)) {
      if (name.startsWith('.')) continue;
      if (/\.gguf$/i.test(name)) found.push(name);
      else if (depth > 0 && extname(name) === '' && (await isDirectory(join(dir, name)))) {
        found.push(...(await this.ggufs(join(dir, name), depth - 1)).map((file) => join(name, file)));
      }
    }
    return found.filter((file) => !/-(?!00001)\d{5}-of-\d{5}\.gguf$/i.test(file));
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then((info) => info.isDirectory(), () => false);
}

/** A repository's folder: its safetensors model, where it has one, and its GGUF files. */
async function repositoryModels(folders: Folders, dir: string, store: Store, prefix: 'hf' | 'lmstudio', owner: string, repo: string): Promise<Candidate[]> {
  const names = await folders.names(dir);
  const files = await folders.ggufs(dir, repositoryDepth);
  const found: Candidate[] = [];
  const safetensors = names.some((name) => /\.safetensors(?:\.index\.json)?$/.test(name));
  if (safetensors || (names.includes('config.json') && files.length === 0)) {
    found.push({ store, name: showRepoName(prefix, { owner, repo, revision: null, quant: null }), id: repo, path: dir, owner, repo });
  }
  return [...found, ...ggufCandidates(dir, files, store, prefix, owner, repo)];
}

function ggufCandidates(dir: string, all: readonly string[], store: Store, prefix: 'hf' | 'lmstudio', owner: string, repo: string): Candidate[] {
  const files = all.filter((file) => !isVisionPart(file));
  const vision = preferredVisionPart(all);
  const quants = files.map(quantOfFile);
  return files.map((file, i) => {
    // A quantisation that two files share names neither.
    const quant = quants[i] !== null && quants.filter((other) => other === quants[i]).length === 1 ? quants[i]! : basename(file);
    return { store, name: showRepoName(prefix, { owner, repo, revision: null, quant }), id: ggufStem(file), path: join(dir, file), ...(vision === undefined ? {} : { mmproj: join(dir, vision) }), owner, repo };
  });
}

async function ownModels(folders: Folders, own: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const owner of await folders.names(join(own, 'hf'))) {
    for (const repo of await folders.names(join(own, 'hf', owner))) {
      const { safetensors, gguf } = ownFolders(own, owner, repo);
      if (await isDirectory(safetensors)) {
        found.push({ store: 'lodestone', name: showRepoName('hf', { owner, repo, revision: null, quant: null }), id: repo, path: safetensors, owner, repo });
      }
      found.push(...ggufCandidates(gguf, await folders.ggufs(gguf, 0), 'lodestone', 'hf', owner, repo));
    }
  }
  return found;
}

async function hubModels(folders: Folders, hub: string, store: Store): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const name of await folders.names(hub)) {
    const parts = /^models--(.+?)--(.+)$/.exec(name);
    if (!parts) continue;
    const [, owner, repo] = parts as unknown as [string, string, string];
    const dir = await snapshotOf(folders, join(hub, name));
    const models = dir === null ? [] : await repositoryModels(folders, dir, store, 'hf', owner, repo);
    if (models.length > 0) found.push(...models);
    else if (looksLikeGemma3(repo)) {
      const problem = 'neither weights nor a GGUF file (an unfinished download?)';
      found.push({ store, name: showRepoName('hf', { owner, repo, revision: null, quant: null }), id: repo, path: dir ?? join(hub, name), owner, repo, problem });
    }
  }
  return found;
}

/** The snapshot that refs/main names; else, of those there are, the newest. */
async function snapshotOf(folders: Folders, repository: string): Promise<string | null> {
  const snapshots = join(repository, 'snapshots');
  const commits = await folders.names(snapshots);
  const main = (await readFile(join(repository, 'refs', 'main'), 'utf8').catch(() => '')).trim();
  if (commits.includes(main)) return join(snapshots, main);
  const dated = await Promise.all(commits.map(async (commit) => ({ commit, at: (await stat(join(snapshots, commit)).catch(() => null))?.mtimeMs ?? 0 })));
  const newest = dated.sort((a, b) => b.at - a.at)[0];
  return newest === undefined ? null : join(snapshots, newest.commit);
}

/** llama.cpp's older cache; which part of a file's name is the repository's can't be told, so its path names it. */
async function flatModels(folders: Folders, dir: string): Promise<Candidate[]> {
  const files = (await folders.ggufs(dir, 0)).filter((file) => !isVisionPart(file));
  return files.map((file) => ({ store: 'llama.cpp', name: join(dir, file), id: ggufStem(file), path: join(dir, file) }));
}

async function publisherModels(folders: Folders, dir: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const owner of await folders.names(dir)) {
    for (const repo of await folders.names(join(dir, owner))) found.push(...(await repositoryModels(folders, join(dir, owner, repo), 'lm-studio', 'lmstudio', owner, repo)));
  }
  return found;
}

async function ollamaModels(folders: Folders, dir: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  const manifests = join(dir, 'manifests');
  for (const host of await folders.names(manifests)) {
    for (const namespace of await folders.names(join(manifests, host))) {
      for (const model of await folders.names(join(manifests, host, namespace))) {
        for (const tag of await folders.names(join(manifests, host, namespace, model))) {
          const candidate = await ollamaModel(dir, { host, namespace, model, tag });
          if (candidate !== null) found.push(candidate);
        }
      }
    }
  }
  return found;
}

/** null where the manifest can't be one of Gemma 3. */
async function ollamaModel(dir: string, name: OllamaName): Promise<Candidate | null> {
  const manifest = join(dir, 'manifests', name.host, name.namespace, name.model, name.tag);
  const common = { store: 'ollama', name: showOllamaName(name), id: `${name.model}:${name.tag}` } as const;
  const broken = (problem: string): Candidate | null => (looksLikeGemma3(name.model) ? { ...common, path: manifest, problem } : null);
  let layers: unknown;
  try {
    layers = (JSON.parse(await readFile(manifest, 'utf8')) as { layers?: unknown } | null)?.layers;
  } catch (cause) {
    return broken(`the manifest can't be read (${(cause as Error).message})`);
  }
  const model = Array.isArray(layers) ? (layers as { mediaType?: unknown; digest?: unknown }[]).find((layer) => layer?.mediaType === 'application/vnd.ollama.image.model') : undefined;
  if (model === undefined) return broken('the manifest names no GGUF model');
  // A digest becomes a file's name: nothing but a hash.
  if (typeof model.digest !== 'string' || !/^sha256:[0-9a-f]{64}$/.test(model.digest)) return broken('the manifest names no blob');
  const path = join(dir, 'blobs', model.digest.replace(':', '-'));
  const there = await stat(path).then((info) => info.isFile(), () => false);
  return there ? { ...common, path } : broken(`blob ${basename(path)} is missing from ${dirname(path)}`);
}

/** By its name alone: gemma-3-4b-it, gemma3, Gemma_3. What can't be read and has another name is somebody else's. */
export function looksLikeGemma3(name: string): boolean {
  return /gemma[-_ ]?3(?!n)/i.test(name);
}
