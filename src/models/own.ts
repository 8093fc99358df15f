/** Our own store: OWN/hf/org/repo/{safetensors/, gguf/file.gguf}, and OWN/.partial/hf/org/repo/ for what is still coming. */
import { rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Folders of our own store that hold a repository's models. */
export function ownFolders(own: string, owner: string, repo: string): { readonly repository: string; readonly safetensors: string; readonly gguf: string } {
  const repository = join(own, 'hf', owner, repo);
  return { repository, safetensors: join(repository, 'safetensors'), gguf: join(repository, 'gguf') };
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
