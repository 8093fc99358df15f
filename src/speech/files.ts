/** A speech model's folder, opened: what its files say, and where its tensors lie. No weights are read. */
import { join } from 'node:path';
import { openCheckpoint, type Checkpoint } from '../weights/safetensors.js';
import { openSpeechConfig, type SpeechConfig } from './config.js';
import { checkSpeechTensors } from './weights.js';

export interface SpeechFiles {
  readonly config: SpeechConfig;
  readonly checkpoint: Checkpoint;
}

/**
 * @param dir of a Whisper checkpoint: config.json, generation_config.json, tokenizer.json or vocab.json, safetensors
 * Errors: LodestoneError(badModel), one line with the file, and the tensor that is missing or of another shape.
 */
export async function openSpeechFiles(dir: string): Promise<SpeechFiles> {
  const config = await openSpeechConfig(dir);
  const checkpoint = await openCheckpoint(dir);
  checkSpeechTensors(checkpoint, config);
  return { config, checkpoint };
}

/** Of all files of such a folder those that decide, beside the weights, what is heard. */
export function filesBeside(dir: string): string[] {
  return ['config.json', 'generation_config.json', 'preprocessor_config.json', 'processor_config.json', 'tokenizer.json', 'vocab.json', 'merges.txt', 'added_tokens.json'].map((name) => join(dir, name));
}
