/** Our own store: OWN/hf/org/repo/{safetensors/, gguf/file.gguf}, and OWN/.partial/hf/org/repo/ for what is still coming. */
import { readFile, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Folders of our own store that hold a repository's models. */
export function ownFolders(own: string, owner: string, repo: string): { readonly repository: string; readonly safetensors: string; readonly gguf: string } {
  const repository = join(own, 'hf', owner, repo);
  return { repository, safetensors: join(repository, 'safetensors'), gguf: join(repository, 'gguf') };
}

/** Where the record of a model of ours lies, by the model's path: in its directory, or beside its file. */
export function recordPath(path: string): string {
  return /\.gguf$/i.test(path) ? `${path}.json` : join(path, 'source.json');
}

/** What a record says of its model. */
export interface PullRecord {
  readonly repository: string;
  /** As it was asked for: a branch, a tag, a commit. */
  readonly revision: string;
  readonly commit: string;
  readonly files: readonly { readonly name: string; readonly size: number; readonly hash: string }[];
}

/** null: none, or not legible. Nothing in it is sure. */
export async function readRecord(path: string): Promise<Partial<PullRecord> | null> {
  return readFile(recordPath(path), 'utf8').then((text) => JSON.parse(text) as Partial<PullRecord> | null).catch(() => null);
}

/** Where a repository's files grow. */
export function partialFolder(own: string, owner: string, repo: string): string {
  return join(own, '.partial', 'hf', owner, repo);
}

/** Removes a folder that is empty, and then its parents that are, up to the store itself. */
export async function removeEmpty(dir: string, own: string): Promise<void> {
  for (let at = dir; at.startsWith(own) && at !== own; at = dirname(at)) {
    if (!(await rmdir(at).then(() => true, (error: NodeJS.ErrnoException) => error.code === 'ENOENT'))) return;
  }
}
