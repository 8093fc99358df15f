/** Which speech model hears where none is named. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { embeddedSpeechDir } from '../paths.js';

/** LODESTONE_SPEECH, else the one that comes with the package; undefined where this package came without its weights. */
export function defaultSpeechModel(): string | undefined {
  return process.env['LODESTONE_SPEECH'] || (existsSync(path.join(embeddedSpeechDir, 'model.safetensors')) ? embeddedSpeechDir : undefined);
}
