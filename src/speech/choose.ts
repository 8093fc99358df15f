/**
 * Which speech model hears where none is named: the one that was pulled; else the one that comes with the package; else the
 * one that lies in another program's store. Where there are several of the first or of the last, none is preferred.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { listModels } from '../models/list.js';
import { surroundings, type Surroundings } from '../models/places.js';
import { resolveModel } from '../models/resolve.js';
import { embeddedSpeechDir } from '../paths.js';
import { openSpeechFiles } from './files.js';
import { namedSpeech } from './named.js';

/** How people call it, and its folder; or why there is none, and what to do, in words that go on after a colon. */
export type SpeechChoice = { readonly dir: string; readonly name: string } | { readonly problem: string };

export interface ChoosePlaces {
  readonly where?: Surroundings;
  /** Folder of the package's own, which may have come without it. */
  readonly embedded?: string;
  /** The option that names a speech model, for messages. */
  readonly option?: '-m' | '--speech';
}

/**
 * @param named as the user names it
 * Errors: those of `resolveModel`, for a name.
 */
export async function chooseSpeech(named: string | undefined, { where = surroundings(), embedded = embeddedSpeechDir, option = '--speech' }: ChoosePlaces = {}): Promise<SpeechChoice> {
  if (named !== undefined) {
    const { path: dir, name, store } = await resolveModel(named, where, 'whisper');
    return { dir, name: store === null ? path.basename(dir) : name };
  }
  const usable = (await listModels(where)).models.filter(({ family, problem }) => family === 'whisper' && problem === null);
  const pulled = usable.filter(({ store }) => store === 'lodestone');
  const shipped = existsSync(path.join(embedded, 'model.safetensors'));
  if (shipped && pulled.length === 0) return { dir: embedded, name: path.basename(embedded) };
  const [first, ...others] = pulled.length > 0 ? pulled : usable;
  const naming = `with ${option}, or in LODESTONE_SPEECH`;
  // What a model of this size understands is worth having, and it is not too slow on a processor.
  if (first === undefined) return { problem: `no speech model is on this machine; get one with: lodestone models pull hf:openai/whisper-base (or name the folder of a Whisper checkpoint ${naming})` };
  if (others.length > 0) return { problem: `there are several speech models (${[first, ...others].map(({ name }) => name).join(', ')}); say which ${naming}` };
  return { dir: first.path, name: first.name };
}

/** Folder of the speech model. Errors: LodestoneError(badModel) where there is none to choose; those of `chooseSpeech`. */
export async function requireSpeech(named: string | undefined, places?: ChoosePlaces): Promise<string> {
  const choice = await chooseSpeech(named, places);
  if ('problem' in choice) throw new LodestoneError(ExitCode.badModel, choice.problem);
  return choice.dir;
}

/** What hears where nothing is named on the command line: `about` it, one line for people. Never throws for what is wrong with a model. */
export async function describeSpeech(): Promise<{ readonly about: string } | { readonly problem: string }> {
  try {
    const choice = await chooseSpeech(namedSpeech());
    if ('problem' in choice) return choice;
    const { tokens, encoderLayers, decoderLayers, width } = (await openSpeechFiles(choice.dir)).config;
    const languages = tokens.languages.size === 0 ? 'English' : `${tokens.languages.size} languages`;
    const knows = choice.dir === embeddedSpeechDir ? ', trained on synthetic voices' : '';
    return { about: `${choice.name}: ${languages}${knows}; ${encoderLayers} + ${decoderLayers} layers of width ${width}` };
  } catch (error) {
    if (error instanceof LodestoneError) return { problem: error.message };
    throw error;
  }
}
