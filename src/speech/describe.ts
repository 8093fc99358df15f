/** What the speech model is that hears where none is named. */
import path from 'node:path';
import { resolveModel } from '../models/resolve.js';
import { embeddedSpeechDir } from '../paths.js';
import { openSpeechConfig } from './config.js';
import { defaultSpeechModel } from './default.js';

/**
 * One line for people; null where no speech model is named and none came with the package.
 * Errors: LodestoneError(badModel).
 */
export async function describeDefaultSpeech(): Promise<string | null> {
  const named = defaultSpeechModel();
  if (named === undefined) return null;
  const { path: dir } = await resolveModel(named);
  const { tokens, encoderLayers, decoderLayers, width } = await openSpeechConfig(dir);
  const languages = tokens.languages.size === 0 ? 'English' : `${tokens.languages.size} languages`;
  const knows = dir === embeddedSpeechDir ? ', trained on synthetic voices' : '';
  return `${path.basename(dir)}: ${languages}${knows}; ${encoderLayers} + ${decoderLayers} layers of width ${width}`;
}
