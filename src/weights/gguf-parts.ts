/**
 * A GGUF model in several files, as llama-gguf-split writes them: NAME-00001-of-00003.gguf and so on, side by side. The first
 * has the metadata, each its own tensors; `split.no` (from 0), `split.count` and `split.tensors.count` (of all) say what
 * belongs together.
 * Source: llama.cpp `tools/gguf-split`, `src/llama-model-loader.cpp`.
 */
import { basename, dirname, join } from 'node:path';
import { badFile } from './errors.js';
import type { Gguf } from './gguf.js';
import type { TensorEntry } from './safetensors.js';

const partName = /^(.*)-(\d{5})-of-(\d{5})(\.gguf)$/i;

/** What the model is called: a file's name without `.gguf`, and of a part without its number. */
export function ggufStem(file: string): string {
  const name = basename(file);
  return partName.exec(name)?.[1] ?? name.replace(/\.gguf$/i, '');
}

/** All files of the model that a file belongs to, by their names; the file alone where it is no part. */
export function partPaths(path: string): string[] {
  const [, stem, , count, extension] = partName.exec(basename(path)) ?? [];
  if (stem === undefined) return [path];
  return Array.from({ length: Number(count) }, (_, i) => join(dirname(path), `${stem}-${String(i + 1).padStart(5, '0')}-of-${count}${extension}`));
}

/** Is this one of several parts? */
export function isPart({ metadata }: Gguf): boolean {
  return Number(metadata.get('split.count') ?? 1) > 1;
}

/**
 * The whole model that a part is of.
 * @param open opens one file. Errors: its own; LodestoneError(badModel) for parts that do not belong together.
 */
export async function joinParts(part: Gguf, open: (path: string) => Promise<Gguf>): Promise<Gguf> {
  const count = Number(part.metadata.get('split.count'));
  const paths = partPaths(part.path);
  if (paths.length !== count) {
    const digits = String(count).padStart(5, '0');
    throw badFile(part.path, `is one of ${count} parts, which must lie side by side under the names NAME-00001-of-${digits}.gguf to NAME-${digits}-of-${digits}.gguf`);
  }
  const tensors = new Map<string, TensorEntry>();
  let first: Gguf | undefined;
  for (const [i, path] of paths.entries()) {
    const file = path === part.path ? part : await open(path);
    if (Number(file.metadata.get('split.no')) !== i || Number(file.metadata.get('split.count')) !== count) throw badFile(path, `is by its name part ${i + 1} of ${count}, and by its metadata another`);
    for (const [name, entry] of file.tensors) {
      if (tensors.has(name)) throw badFile(path, `has tensor ${name} again, which an earlier part has`);
      tensors.set(name, entry);
    }
    first ??= file;
  }
  const total = first!.metadata.get('split.tensors.count');
  if (total !== undefined && total !== tensors.size) throw badFile(first!.path, `is the first of ${count} parts with ${Number(total)} tensors, but they have ${tensors.size}`);
  return { path: first!.path, metadata: first!.metadata, tensors, files: paths };
}
