/** What `-m` says -> the place on disk. The one home of that question, for every verb. */
import { stat } from 'node:fs/promises';
import type { Family } from './family.js';
import { surroundings, type Surroundings } from './places.js';
import type { Store } from './stores.js';

export interface ModelPlace {
  /** A model directory or a GGUF file. */
  readonly path: string;
  /** The vision part of a GGUF file, where one lies beside it in a store. */
  readonly mmproj?: string;
  /** What to call it; undefined: by its path. */
  readonly id?: string;
  /** null: a path of the user's own. */
  readonly store: Store | null;
  /** As `-m` takes it. */
  readonly name: string;
}

/**
 * @param model a path, `hf:org/repo[@revision][:quant]`, `ollama:name[:tag]`, `lmstudio:publisher/model[:quant]`, or a short name
 * @param wanted a short name means a model of this family; default: of any
 * Errors: LodestoneError(badModel), one line that says what was looked for, where, and how to get it; LodestoneError(usage)
 * for a name that is none.
 */
export async function resolveModel(model: string, where: Surroundings = surroundings(), wanted?: Family): Promise<ModelPlace> {
  if (await isPath(model)) return { path: model, store: null, name: model };
  const { findInStores } = await import('./in-stores.js');
  return findInStores(model, where, wanted);
}

async function isPath(model: string): Promise<boolean> {
  if (/^(?:hf|ollama|lmstudio):/u.test(model)) return false;
  // What is spelled as a path is one; where nothing lies there, the message comes from where it is opened.
  if (model === '' || /[/\\]|^[.~]|\.gguf$/i.test(model)) return true;
  return stat(model).then(() => true, () => false);
}
