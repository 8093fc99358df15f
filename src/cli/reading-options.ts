/** Options of the verbs that read documents and answer: which model, where, how much of what. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { ConversationRequest } from '../answer/conversation.js';
import { defaultFrames, defaultLooks } from '../answer/defaults.js';
import type { KvFormat } from '../device/device.js';
import { kvFormats } from '../device/kvLayout.js';
import { deviceChoices, type DeviceChoice } from '../device/select.js';
import type { Tiles } from '../encode/image.js';
import type { FrameChoice } from '../ingest/media/pictures.js';
import { parsePageRanges } from '../ingest/pages.js';
import { resolveModel } from '../models/resolve.js';
import { embeddedModelDir } from '../paths.js';
import { defaultChunk, defaultKv } from '../runtime/kv.js';
import { namedSpeech } from '../speech/named.js';
import { cacheOptions } from './cache.js';
import { between, integer } from './numbers.js';
import { seeOption } from './see-option.js';
import { time, timeRange } from './times.js';

export interface ReadingOptions {
  readonly model: string;
  readonly mmproj?: string;
  readonly device: DeviceChoice;
  readonly threads?: number;
  readonly quantize: 'none' | 'q8_0' | 'q4_0';
  readonly kv: KvFormat;
  readonly pages?: string;
  readonly pagesAsImages?: boolean;
  readonly password?: string;
  readonly pdfTimeout?: number;
  readonly tiles: Tiles;
  readonly speech?: string;
  readonly see?: string;
  readonly language?: string;
  readonly from?: number;
  readonly to?: number;
  readonly fps: number;
  readonly frames: FrameChoice;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly seed: number;
  readonly chunk: number;
  readonly looks: number;
  readonly session: boolean;
}

/** What every verb's `-m`, and every MODEL, takes. */
export const modelHelp = 'folder of a Gemma 3 (safetensors), GGUF file, hf:org/repo[@revision][:quant], ollama:name[:tag], lmstudio:publisher/model, or a short name (see lodestone models ls)';

function tiles(text: string): Tiles {
  if (text === 'auto') return text;
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0 || value > 64) throw new InvalidArgumentError('auto, or a whole number from 0 to 64, is needed');
  return value;
}

/** What, where and with which model. */
export function addSourceOptions(command: Command): Command {
  return command
    .option('-m, --model <model>', modelHelp, process.env['LODESTONE_MODEL'] || embeddedModelDir)
    .option('--mmproj <path>', 'vision part of a GGUF file, so that it can see images (found by itself in the stores)')
    .addOption(new Option('--device <name>', 'where to compute').choices(deviceChoices).default('auto'))
    .option('--threads <n>', 'threads of the cpu device', integer(1))
    .addOption(new Option('--quantize <format>', 'store the weight matrices smaller').choices(['none', 'q8_0', 'q4_0']).default('none'))
    .addOption(new Option('--kv <format>', 'store the keys and values of global layers so').choices(kvFormats).default(defaultKv.global))
    .option('--pages <list>', 'read only these PDF pages, e.g. 1,4-9 or 12-')
    .option('--pages-as-images', 'show all pages of a PDF to a model that sees, not only those without a text layer')
    .option('--password <text>', 'of an encrypted PDF')
    .option('--pdf-timeout <seconds>', 'give a PDF up after this long (120 and more for long ones)', between(0.1, 86_400))
    .option('--tiles <n>', 'show wide and tall images in so many crops too; auto decides by their shape, 0 is none', tiles, 'auto')
    .addOption(new Option('--speech <model>', 'hears sound and video: folder of a Whisper checkpoint, hf:org/repo, or a short name (default: the one that was pulled)').default(namedSpeech()))
    .addOption(seeOption())
    .option('--language <code>', 'that is spoken: en, de, ...; as it sounds by default')
    .option('--from <time>', 'begin sound and video here: seconds, MM:SS or H:MM:SS', time)
    .option('--to <time>', 'end sound and video here', time)
    .option('--fps <n>', 'pictures of a video that are looked at, per second', between(0.001, 60), defaultFrames.fps)
    .addOption(new Option('--frames <which>', 'which of them: all, without repeated ones, or one of each scene').choices(['all', 'changed', 'scenes']).default(defaultFrames.choice));
}

/** How to answer. */
export function addAnswerOptions(command: Command): Command {
  return command
    .option('--max-tokens <n>', 'longest answer', integer(1), 128)
    .option('--temperature <t>', '0 is greedy', between(0, 100), 0)
    .option('--top-k <n>', '0 is off', integer(0), 0)
    .option('--top-p <p>', '1 is off', between(0, 1), 1)
    .option('--min-p <p>', '0 is off', between(0, 1), 0)
    .option('--seed <n>', 'of sampling', integer(0), 0)
    .option('--looks <n>', 'passages of each length that an extractive model reads again; 0 is none', integer(0), defaultLooks)
    .option('--chunk <n>', 'positions read at a time', integer(1), defaultChunk)
    .option('--no-session', 'read everything again, and keep nothing for the next question');
}

/** Where the models lie that the options name. Errors: those of `resolveModel`. */
export async function locateModels(options: Pick<ReadingOptions, 'model' | 'mmproj' | 'speech' | 'see'>): Promise<Pick<ConversationRequest, 'modelDir' | 'modelId' | 'mmproj' | 'speech' | 'see'>> {
  const { path, id, mmproj: beside } = await resolveModel(options.model, undefined, 'gemma3');
  const { mmproj = beside, speech, see } = options;
  return { modelDir: path, ...(id === undefined ? {} : { modelId: id }), ...(mmproj === undefined ? {} : { mmproj }), ...(speech === undefined ? {} : { speech }), ...(see === undefined ? {} : { see }) };
}

/** Errors: LodestoneError(usage). */
export function readingRequest(paths: readonly string[], options: ReadingOptions): Omit<ConversationRequest, 'modelDir' | 'modelId'> {
  return {
    paths,
    ...(options.pages === undefined ? {} : { pages: parsePageRanges(options.pages) }),
    ...(options.pagesAsImages === undefined ? {} : { pagesAsImages: options.pagesAsImages }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(options.pdfTimeout === undefined ? {} : { pdfTimeoutMs: options.pdfTimeout * 1e3 }),
    tiles: options.tiles,
    ...(options.language === undefined ? {} : { language: options.language }),
    ...(options.from === undefined && options.to === undefined ? {} : { range: timeRange(options.from, options.to) }),
    frames: { fps: options.fps, choice: options.frames },
    quantize: options.quantize,
    sampling: { temperature: options.temperature, topK: options.topK, topP: options.topP, minP: options.minP, seed: options.seed },
    maxTokens: options.maxTokens,
    chunk: options.chunk,
    kv: { ...defaultKv, global: options.kv },
    looks: options.looks,
    // What a password protects is not left on the disk in the clear.
    ...(options.session && options.password === undefined ? { cache: cacheOptions() } : {}),
  };
}
