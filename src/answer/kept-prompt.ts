/** The ids of documents, kept as their texts are: to encode a book takes longer than to read its ids back. */
import { join } from 'node:path';
import type { KeepDocuments, Prompt } from '../encode/prompt.js';
import type { GemmaConfig } from '../gemma/config.js';
import { isGguf, type ModelFiles } from '../runtime/model.js';
import { knownSha256 } from '../sessions/known-hashes.js';
import { hashesFolder } from '../sessions/open.js';
import { rememberIn, textsFolder } from '../sessions/texts.js';

/** Shorter texts are encoded sooner than they are looked up; in characters. */
const worthKeeping = 16_384;

/** As JSON has it. */
type StoredPrompt = Omit<Prompt, 'ids' | 'images'> & { readonly ids: readonly number[] };

/**
 * @param folder of the cache
 * @param dir of the model, whose tokenizer decides the ids
 */
export function keepDocumentsIn(folder: string, dir: string, { checkpoint, tokenizer, config }: Pick<ModelFiles, 'checkpoint' | 'tokenizer' | 'config'>, signal: AbortSignal): KeepDocuments {
  return async (sources, make) => {
    const segments = sources.flatMap((source) => source.segments);
    const characters = segments.reduce((sum, { text }) => sum + text.length, 0);
    if (characters < worthKeeping || segments.some(({ image }) => image)) return make();
    const vocabulary = await knownSha256(isGguf(checkpoint) ? checkpoint.files : [join(dir, 'tokenizer.json')], hashesFolder(folder), signal);
    const remember = rememberIn(textsFolder(folder), ['encode']);
    const texts = sources.map(({ source, segments: those }) => [source.path, ...those.map(({ text, page, time }) => [text, page, time])]);
    const style: GemmaConfig['prompt'] = config.prompt;
    const { ids, ...rest } = await remember(['ids', vocabulary, tokenizer.backend, style, texts], async (): Promise<StoredPrompt> => {
      const { images: _, ...documents } = await make();
      return { ...documents, ids: Array.from(documents.ids) };
    });
    return { ...rest, ids: Uint32Array.from(ids) };
  };
}
