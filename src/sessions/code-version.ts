/** Which version of our own code computes: an edit must not meet what the code before it has stored. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** src/ or dist/, whichever runs. */
const codeRoot = fileURLToPath(new URL('..', import.meta.url));

/** sha256 of the code in some folders of src/. */
export function codeVersion(folders: readonly string[]): string {
  const hash = createHash('sha256');
  for (const folder of folders) {
    const files = readdirSync(join(codeRoot, folder), { recursive: true, encoding: 'utf8' });
    for (const file of files.filter((name) => /(?<!\.d)\.(?:js|ts)$/u.test(name)).sort()) {
      hash.update(`${folder}/${file}\0`).update(readFileSync(join(codeRoot, folder, file)));
    }
  }
  return hash.digest('hex');
}
