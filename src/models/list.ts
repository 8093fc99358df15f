/** Every Gemma 3 and every Whisper on this machine. */
import { describe, type StoredModel } from './describe.js';
import { storePlaces, surroundings, type Surroundings } from './places.js';
import { survey } from './stores.js';

export interface ModelList {
  readonly models: readonly StoredModel[];
  /** Folders of stores that are there and can't be read, one line each. */
  readonly unreadable: readonly string[];
}

export async function listModels(where: Surroundings = surroundings()): Promise<ModelList> {
  const { candidates, unreadable } = await survey(await storePlaces(where));
  const models: StoredModel[] = [];
  // One at a time: each may read a header of megabytes.
  for (const candidate of candidates) {
    const model = await describe(candidate);
    if (model !== null) models.push(model);
  }
  return { models, unreadable };
}
