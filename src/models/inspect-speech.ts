/** `lodestone models inspect` of a speech model: what its headers say. */
import { basename, resolve } from 'node:path';
import { filesBeside, openSpeechFiles } from '../speech/files.js';
import { parameterCount } from './describe.js';
import { describeFiles, formatsOf, type HashOptions, type Inspection } from './inspect.js';
import type { ModelPlace } from './resolve.js';

export interface SpeechInspection extends Pick<Inspection, 'name' | 'id' | 'store' | 'path' | 'parameters' | 'files'> {
  readonly schema: 'lodestone.speech-model/1';
  /** Elements by their format. */
  readonly formats: Readonly<Record<string, number>>;
  /** Codes, in the order of the vocabulary; a model of English alone has en. */
  readonly languages: readonly string[];
  readonly architecture: {
    readonly width: number;
    readonly encoder_layers: number;
    readonly encoder_heads: number;
    readonly encoder_hidden: number;
    readonly decoder_layers: number;
    readonly decoder_heads: number;
    readonly decoder_hidden: number;
    readonly mel_bands: number;
    /** Sound that is heard at once. */
    readonly window_seconds: number;
    readonly vocabulary: number;
    readonly tokens_per_window: number;
  };
}

/** Errors: LodestoneError(badModel), one line; the signal's reason. */
export async function inspectSpeech(place: ModelPlace, options: HashOptions = {}): Promise<SpeechInspection> {
  const { config, checkpoint } = await openSpeechFiles(place.path);
  const known = [...config.tokens.languages].sort(([, a], [, b]) => a - b).map(([code]) => code);
  return {
    schema: 'lodestone.speech-model/1',
    name: place.name,
    id: place.id ?? basename(resolve(place.path)),
    store: place.store,
    path: place.path,
    parameters: parameterCount(checkpoint),
    formats: formatsOf(checkpoint.tensors.values()),
    languages: known.length === 0 ? ['en'] : known,
    architecture: {
      width: config.width,
      encoder_layers: config.encoderLayers,
      encoder_heads: config.encoderHeads,
      encoder_hidden: config.encoderHidden,
      decoder_layers: config.decoderLayers,
      decoder_heads: config.decoderHeads,
      decoder_hidden: config.decoderHidden,
      mel_bands: config.melBands,
      window_seconds: config.sourcePositions * config.secondsPerPosition,
      vocabulary: config.vocabSize,
      tokens_per_window: config.targetPositions,
    },
    files: await describeFiles([...filesBeside(place.path), ...checkpoint.files], options),
  };
}
