/**
 * A Whisper checkpoint's `config.json`, `generation_config.json` and `preprocessor_config.json` -> plain data with every
 * field explicit.
 * Source: Whisper (arXiv 2212.04356), transformers `configuration_whisper.py`, `generation_whisper.py` and
 * `feature_extraction_whisper.py` 5.18.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSmooth } from '../encode/fft.js';
import { sampleRate, whisperFrames, type FrameShape } from '../encode/log-mel.js';
import { badFile } from '../weights/errors.js';
import { showJson } from '../weights/json.js';

export interface SpeechConfig {
  readonly width: number;
  readonly encoderLayers: number;
  readonly decoderLayers: number;
  readonly encoderHeads: number;
  readonly decoderHeads: number;
  readonly encoderHidden: number;
  readonly decoderHidden: number;
  readonly melBands: number;
  readonly frames: FrameShape;
  /** Of a position of the encoder's result, and of a step of the time tokens: two frames. */
  readonly secondsPerPosition: number;
  /** Positions of the encoder's result. A window of sound is so long. */
  readonly sourcePositions: number;
  /** The most tokens that the decoder holds. */
  readonly targetPositions: number;
  readonly vocabSize: number;
  /** Factor of the decoder's token embeddings. */
  readonly embeddingScale: number;
  readonly tokens: SpeechTokens;
  /** Cross-attention heads that follow the sound, [layer, head]; those of the upper half where the checkpoint names none that are there. */
  readonly alignmentHeads: readonly (readonly [number, number])[];
}

export interface SpeechTokens {
  /** `<|startoftranscript|>` */
  readonly start: number;
  /** `<|endoftext|>`; all ids from it on are no text. */
  readonly end: number;
  /** `<|transcribe|>`; null, with `languages` empty: a model of English alone. */
  readonly transcribe: number | null;
  /** `en` -> id of `<|en|>`. */
  readonly languages: ReadonlyMap<string, number>;
  /** `<|nospeech|>`; null: not known. */
  readonly noSpeech: number | null;
  /** `<|0.00|>`; each id more is a position later. */
  readonly firstTime: number;
  /** Never written, and never written first. */
  readonly suppressed: readonly number[];
  readonly suppressedFirst: readonly number[];
  /** The latest that the first piece of speech in a window may begin, in positions. */
  readonly latestStart: number;
}

type Json = Readonly<Record<string, unknown>>;

/** Above this, a number is taken for damage. */
const mostOfAnything = 2 ** 20;

/** Errors: LodestoneError(badModel), one line with the file. */
export async function openSpeechConfig(dir: string): Promise<SpeechConfig> {
  const path = join(dir, 'config.json');
  const config = await readObject(path);
  if (config === null) throw badFile(dir, 'no config.json (a speech model is a folder with config.json, model.safetensors and tokenizer.json of a Whisper checkpoint)');
  const [generation, preprocessor, processor] = await Promise.all(['generation_config.json', 'preprocessor_config.json', 'processor_config.json'].map((name) => readObject(join(dir, name))));
  // Since transformers 5 the one stands in the other.
  const nested = processor?.['feature_extractor'] as Json | null | undefined;
  return parseSpeechConfig({ config, generation: generation ?? {}, preprocessor: preprocessor ?? nested ?? {} }, path);
}

/** null where there is no such file. */
async function readObject(path: string): Promise<Json | null> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT' || cause.code === 'ENOTDIR') return null;
    throw badFile(path, `can't be read (${cause.message})`, cause);
  });
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badFile(path, 'is not JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badFile(path, 'is not an object');
  return value as Json;
}

/** The files, parsed; what is not there is as Whisper's own checkpoints have it. */
export interface SpeechConfigFiles {
  readonly config: Json;
  readonly generation: Json;
  readonly preprocessor: Json;
}

/**
 * @param path of the config, for messages
 * Errors: LodestoneError(badModel).
 */
export function parseSpeechConfig({ config, generation, preprocessor }: SpeechConfigFiles, path: string): SpeechConfig {
  const fail = (what: string): never => {
    throw badFile(path, what);
  };
  if (config['model_type'] !== 'whisper') fail(`is of a model of the type ${showJson(config['model_type'] ?? null)}; speech is recognised by Whisper checkpoints`);
  const whole = (value: unknown, name: string, least = 1): number => {
    if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > mostOfAnything) {
      return fail(`${name} is ${showJson(value ?? null)}, not a whole number from ${least} to ${mostOfAnything}`);
    }
    return value as number;
  };
  const size = (key: string): number => whole(config[key], key);
  const activation = config['activation_function'] ?? 'gelu';
  if (activation !== 'gelu') fail(`activation_function is ${showJson(activation)}, not gelu`);
  const width = size('d_model');
  const heads = (key: string): number => {
    const value = size(key);
    return width % value === 0 ? value : fail(`d_model of ${width} is not a multiple of its ${value} heads (${key})`);
  };
  const vocabSize = size('vocab_size');
  const frames = parseFrames(preprocessor, fail);
  const decoderLayers = size('decoder_layers');
  const decoderHeads = heads('decoder_attention_heads');
  return {
    width,
    encoderLayers: size('encoder_layers'),
    decoderLayers,
    encoderHeads: heads('encoder_attention_heads'),
    decoderHeads,
    encoderHidden: size('encoder_ffn_dim'),
    decoderHidden: size('decoder_ffn_dim'),
    melBands: size('num_mel_bins'),
    frames,
    secondsPerPosition: (2 * frames.hop) / sampleRate,
    sourcePositions: size('max_source_positions'),
    targetPositions: size('max_target_positions'),
    vocabSize,
    embeddingScale: config['scale_embedding'] === true ? Math.sqrt(width) : 1,
    tokens: parseTokens(config, generation, vocabSize, fail),
    alignmentHeads: parseHeads(generation['alignment_heads'], decoderLayers, decoderHeads, fail),
  };
}

/** The transform of so many samples is made of small factors only, and a frame reaches those beside it. */
const longestFrame = 4096;

function parseFrames(preprocessor: Json, fail: (what: string) => never): FrameShape {
  const number = (key: string, usual: number, most: number): number => {
    const value = preprocessor[key] ?? usual;
    const sound = Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most;
    return sound ? (value as number) : fail(`${key} of preprocessor_config.json is ${showJson(value)}, not a whole number from 1 to ${most}`);
  };
  if ((preprocessor['sampling_rate'] ?? sampleRate) !== sampleRate) fail(`sampling_rate of preprocessor_config.json is ${showJson(preprocessor['sampling_rate'])}, not ${sampleRate}`);
  const length = number('n_fft', whisperFrames.length, longestFrame);
  const hop = number('hop_length', whisperFrames.hop, length);
  return length % 2 === 0 && isSmooth(length) ? { hop, length } : fail(`n_fft of preprocessor_config.json is ${length}, which is odd or has a large prime factor`);
}

function parseTokens(config: Json, generation: Json, vocabSize: number, fail: (what: string) => never): SpeechTokens {
  const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < vocabSize;
  const id = (value: unknown, name: string): number => (isId(value) ? value : fail(`${name} is ${showJson(value ?? null)}, not an id below ${vocabSize}`));
  const ids = (value: unknown, name: string): number[] => {
    if (value === undefined || value === null) return [];
    // -1 stands for a list that only the tokenizer's authors have.
    return Array.isArray(value) ? value.filter((each) => each !== -1).map((each) => id(each, name)) : fail(`${name} is ${showJson(value)}, not a list of ids`);
  };
  const start = id(config['decoder_start_token_id'] ?? generation['decoder_start_token_id'], 'decoder_start_token_id');
  const noTimes = id(generation['no_timestamps_token_id'], 'no_timestamps_token_id of generation_config.json');
  const table = generation['lang_to_id'] ?? {};
  if (typeof table !== 'object' || table === null) return fail(`lang_to_id is ${showJson(table)}, not an object`);
  const languages = new Map(Object.entries(table).map(([name, value]) => [name.replaceAll(/[<|>]/g, ''), id(value, `lang_to_id[${name}]`)]));
  const tasks = generation['task_to_id'] as Json | undefined;
  const latest = generation['max_initial_timestamp_index'] ?? 50;
  return {
    start,
    end: id(config['eos_token_id'] ?? generation['eos_token_id'], 'eos_token_id'),
    transcribe: languages.size === 0 ? null : id(tasks?.['transcribe'], 'task_to_id.transcribe'),
    languages,
    // In all of Whisper's vocabularies it stands right before <|notimestamps|>.
    noSpeech: noTimes > 0 ? noTimes - 1 : null,
    firstTime: noTimes + 1,
    suppressed: ids(generation['suppress_tokens'] ?? config['suppress_tokens'], 'suppress_tokens'),
    suppressedFirst: ids(generation['begin_suppress_tokens'] ?? config['begin_suppress_tokens'], 'begin_suppress_tokens'),
    latestStart: Number.isSafeInteger(latest) ? (latest as number) : fail(`max_initial_timestamp_index is ${showJson(latest)}`),
  };
}

function parseHeads(value: unknown, layers: number, heads: number, fail: (what: string) => never): (readonly [number, number])[] {
  const isIndex = (at: unknown): boolean => Number.isSafeInteger(at) && (at as number) >= 0;
  const sound = (value ?? null) === null || (Array.isArray(value) && value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isIndex)));
  if (!sound) return fail(`alignment_heads is ${showJson(value)}, not a list of [layer, head]`);
  const named = ((value ?? []) as [number, number][]).filter(([layer, head]) => layer < layers && head < heads);
  // A distilled model may still name the heads of the one it was made from, in layers that it does not have.
  if (named.length > 0) return named;
  const upper = Array.from({ length: layers - Math.floor(layers / 2) }, (_, i) => Math.floor(layers / 2) + i);
  return upper.flatMap((layer) => Array.from({ length: heads }, (_, head) => [layer, head] as const));
}
