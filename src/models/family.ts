/** The kinds of models that there are here: Gemma 3 reads and answers, Whisper hears. A config.json says which by its `model_type`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export type Family = 'gemma3' | 'whisper';

const families: Readonly<Record<string, Family>> = { gemma3: 'gemma3', gemma3_text: 'gemma3', whisper: 'whisper' };

/** `type` as the file spells it; null: it says none. `family` null: no model of ours. */
export interface Declared {
  readonly type: string | null;
  readonly family: Family | null;
}

/** @param config parsed `config.json`, whatever it holds */
export function declaredFamily(config: unknown): Declared {
  const type = (config as { model_type?: unknown } | null | undefined)?.model_type;
  if (typeof type !== 'string') return { type: null, family: null };
  return { type, family: Object.hasOwn(families, type) ? families[type]! : null };
}

/** Of a model directory; a config.json that is not there, or not legible, declares nothing. */
export async function folderFamily(dir: string): Promise<Declared> {
  const json = await readFile(join(dir, 'config.json'), 'utf8').then((text) => JSON.parse(text) as unknown).catch(() => null);
  return declaredFamily(json);
}
