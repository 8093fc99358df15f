/** `--see`: which model reads pictures. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Option } from 'commander';
import { embeddedSeeDir } from '../paths.js';

/** undefined: this package has none. */
function shipped(): string | undefined {
  return existsSync(join(embeddedSeeDir, 'model.safetensors')) ? embeddedSeeDir : undefined;
}

export function seeOption(): Option {
  return new Option('--see <folder>', 'reads what is written in images and videos, for models that do not see').default(process.env['LODESTONE_SEE'] || shipped());
}
