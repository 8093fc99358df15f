/** What the headers of a GGUF file say of the model in it; loaded for such files only. */
import { parseGgufConfig } from '../gemma/gguf-config.js';
import { holdsVision, parseGgufVisionConfig } from '../gemma/gguf-vision-config.js';
import { locateGgufVisionWeights } from '../gemma/vision-weights.js';
import { locateGgufWeights } from '../gemma/weights.js';
import { openGguf, type Gguf } from '../weights/gguf.js';
import { ggufStem } from '../weights/gguf-parts.js';
import type { ModelHeaders, OpenOptions } from './model.js';

/** Errors: LodestoneError(badModel). */
export async function openGgufHeaders(path: string, { id, mmproj }: OpenOptions): Promise<ModelHeaders> {
  return ggufHeaders(await openGguf(path), { id, vision: mmproj === undefined ? undefined : await openGguf(mmproj) });
}

/** What an open GGUF file says, and the file of its vision part; Ollama's files hold that themselves. Errors: LodestoneError(badModel). */
export function ggufHeaders(checkpoint: Gguf, { id, vision }: { readonly id?: string | undefined; readonly vision?: Gguf | undefined } = {}): ModelHeaders {
  const text = parseGgufConfig(checkpoint);
  const tower = vision ?? (holdsVision(checkpoint) ? checkpoint : null);
  const config = tower ? { ...text, vision: parseGgufVisionConfig(tower, text.hiddenSize) } : text;
  const visionPlaces = tower && config.vision ? locateGgufVisionWeights(tower, config.vision, config.hiddenSize) : null;
  return { id: id ?? ggufStem(checkpoint.path), config, checkpoint, places: locateGgufWeights(checkpoint, config), visionPlaces };
}
