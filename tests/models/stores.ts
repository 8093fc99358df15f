/** A home folder with every store of models in it, made of the tiny model's files. */
import { copyFileSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../src/paths.js';
import type { Surroundings } from '../../src/models/places.js';

export const tinyDir = path.join(packageRoot, 'fixtures', 'gemma3-tiny');
export const tiny = (name: string): string => path.join(tinyDir, name);
export const folderFiles = ['config.json', 'model.safetensors', 'tokenizer.json'];

export function at(home: string, ...parts: string[]): string {
  const file = path.join(home, ...parts);
  mkdirSync(path.dirname(file), { recursive: true });
  return file;
}

/** As the hub's libraries keep a repository: links from a snapshot to blobs. */
export function hubRepository(hub: string, owner: string, repo: string, files: Readonly<Record<string, string>>, commit = 'c0ffee'): string {
  const dir = path.join(hub, `models--${owner}--${repo}`);
  writeFileSync(at(dir, 'refs', 'main'), commit);
  mkdirSync(path.join(dir, 'blobs'), { recursive: true });
  for (const [name, source] of Object.entries(files)) {
    const blob = path.join(dir, 'blobs', `blob-of-${name.replaceAll('/', '-')}`);
    copyFileSync(source, blob);
    const link = at(dir, 'snapshots', commit, name);
    symlinkSync(path.relative(path.dirname(link), blob), link);
  }
  return dir;
}

export function ollamaModel(store: string, name: string, tag: string, gguf: string | null, layers?: unknown): void {
  const digest = `sha256:${name.length.toString(16).padStart(32, '0')}${tag.length.toString(16).padStart(32, '0')}`;
  if (gguf !== null) copyFileSync(gguf, at(store, 'blobs', digest.replace(':', '-')));
  const manifest = {
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: `sha256:${'0'.repeat(64)}` },
    layers: layers ?? [
      { mediaType: 'application/vnd.ollama.image.template', digest: `sha256:${'1'.repeat(64)}` },
      { mediaType: 'application/vnd.ollama.image.model', digest },
    ],
  };
  writeFileSync(at(store, 'manifests', 'registry.ollama.ai', 'library', name, tag), JSON.stringify(manifest));
}

export function fillStores(home: string): void {
  const hub = path.join(home, '.cache', 'huggingface', 'hub');
  hubRepository(hub, 'google', 'gemma-3-1b-it', Object.fromEntries(folderFiles.map((name) => [name, tiny(name)])));
  hubRepository(hub, 'ggml-org', 'gemma-3-4b-it-GGUF', { 'gemma-3-4b-it-Q8_0.gguf': tiny('q8_0.gguf'), 'gemma-3-4b-it-Q4_0.gguf': tiny('q4_0.gguf'), 'mmproj-model-f16.gguf': tiny('bf16.gguf') });
  linkSync(tiny('bf16.gguf'), at(home, '.cache', 'llama.cpp', 'unsloth_gemma-3-270m-it-GGUF_gemma-3-270m-it-BF16.gguf'));
  linkSync(tiny('q4_0.gguf'), at(home, '.lmstudio', 'models', 'lmstudio-community', 'gemma-3-12b-it-GGUF', 'gemma-3-12b-it-Q4_0.gguf'));
  ollamaModel(path.join(home, '.ollama', 'models'), 'gemma3', '4b', tiny('q4_0.gguf'));
}

export function surroundingsOf(home: string, env: Record<string, string> = {}): Surroundings {
  return { env, home, platform: 'linux' };
}
