/** `config.json` of a model that reads pictures: Gemma 3's for image models, and which pieces it tells apart. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ExitCode, LodestoneError } from '../errors.js';
import { parseVisionConfig, type VisionConfig } from '../gemma/vision-config.js';

export interface SeeConfig {
  readonly vision: VisionConfig;
  /** Width of a soft token: the text model's. */
  readonly width: number;
  /** Of the projector's norm. */
  readonly eps: number;
  /** Of each row of the output layer but the first, which stands for nothing, the character. */
  readonly characters: readonly string[];
}

type Json = Readonly<Record<string, unknown>>;

/** Errors: LodestoneError(badModel), one line. */
export async function openSeeConfig(dir: string): Promise<SeeConfig> {
  const path = join(dir, 'config.json');
  const fail = (what: string): never => {
    throw new LodestoneError(ExitCode.badModel, `${path}: ${what}`);
  };
  const json: unknown = await readFile(path, 'utf8').then(JSON.parse, (error: Error) => fail(`can't be read (${error.message})`)).catch((error: unknown) => {
    if (error instanceof LodestoneError) throw error;
    return fail('is not JSON');
  });
  if (!isObject(json)) return fail('is not a JSON object');
  const { vision_config: vision, text_config: text, lodestone } = json;
  if (!isObject(vision) || !isObject(text)) return fail('has no vision_config or no text_config');
  const characters = isObject(lodestone) ? lodestone['characters'] : undefined;
  if (typeof characters !== 'string' || characters === '') return fail('has no lodestone.characters, so it is no model that reads pictures');
  const [width, eps] = [text['hidden_size'], text['rms_norm_eps']];
  if (!Number.isSafeInteger(width) || (width as number) < 1) return fail(`text_config.hidden_size is ${JSON.stringify(width)}, not a whole number`);
  if (typeof eps !== 'number' || !(eps > 0)) return fail(`text_config.rms_norm_eps is ${JSON.stringify(eps)}, not a positive number`);
  return { vision: parseVisionConfig(json, vision, fail), width: width as number, eps, characters: [...characters] };
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
