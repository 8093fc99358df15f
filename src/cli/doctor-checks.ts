/** What this machine has of what Lodestone can use, and how to get what it lacks. */
import { execFile } from 'node:child_process';
import { statfs } from 'node:fs/promises';
import { promisify } from 'node:util';
import { findFfmpeg } from '../ingest/media/find-ffmpeg.js';
import { listModels } from '../models/list.js';
import { embeddedModelDir } from '../paths.js';
import { thisMachine } from '../runtime/machine.js';
import { sessionsFolder } from '../sessions/open.js';
import { listBlocks } from '../sessions/store.js';
import { describeSpeech } from '../speech/choose.js';
import { bytes, count } from '../ui/format.js';
import { cacheOptions } from './cache.js';

export interface Check {
  readonly name: string;
  /** missing: something that was asked for, or is of use, is not there. broken: nothing works without it. */
  readonly state: 'ok' | 'missing' | 'broken';
  readonly found: string;
  /** null: nothing to do. */
  readonly remedy: string | null;
}

const ok = (name: string, found: string): Check => ({ name, state: 'ok', found, remedy: null });
const reason = (error: unknown): string => (error as Error).message.split('\n', 1)[0]!;

/** One after another, in the order in which they are shown. Never throws. */
export async function checkAll(): Promise<Check[]> {
  const checks = [checkNode, checkDevice, checkMemory, checkEmbeddedModel, checkTokenizer, checkSpeechModel, checkModels, checkFfmpeg, checkCache];
  const results: Check[] = [];
  for (const check of checks) results.push(await check().catch((error: unknown): Check => ({ name: check.name.replace('check', '').toLowerCase(), state: 'broken', found: reason(error), remedy: null })));
  return results;
}

async function checkNode(): Promise<Check> {
  return ok('node', `${process.version}, ${process.platform} ${process.arch}`);
}

async function checkDevice(): Promise<Check> {
  const { selectDevice } = await import('../device/select.js');
  const { device, why } = await selectDevice('auto');
  await device.close();
  if (device.name !== 'reference') return ok('device', device.description);
  return { name: 'device', state: 'missing', found: why, remedy: 'install a C++20 compiler (Debian and Ubuntu: apt install g++; macOS: xcode-select --install), then npm run build:addon' };
}

async function checkMemory(): Promise<Check> {
  const { memory_bytes: total, available_bytes: available } = thisMachine();
  return ok('memory', `${bytes(available)} free of ${bytes(total)}`);
}

async function checkEmbeddedModel(): Promise<Check> {
  const { openModelHeaders } = await import('../runtime/model.js');
  try {
    const { id, config } = await openModelHeaders(embeddedModelDir);
    return ok('embedded model', `${id}, context ${count(config.maxPositions)} tokens`);
  } catch (error) {
    return { name: 'embedded model', state: 'broken', found: reason(error), remedy: 'install Lodestone again' };
  }
}

async function checkTokenizer(): Promise<Check> {
  const { openTokenizer } = await import('../encode/tokenizer.js');
  const { backend } = await openTokenizer(embeddedModelDir);
  if (backend === 'native') return ok('tokenizer', 'native');
  return { name: 'tokenizer', state: 'missing', found: 'JavaScript, which is slower: the native one has no binary for this system', remedy: 'npm install, without --omit=optional' };
}

async function checkSpeechModel(): Promise<Check> {
  const speech = await describeSpeech();
  if ('about' in speech) return ok('speech model', speech.about);
  return { name: 'speech model', state: 'missing', found: `none that hears sound and the speech of videos: ${speech.problem}`, remedy: 'lodestone models pull hf:openai/whisper-base, or name one that is here in LODESTONE_SPEECH' };
}

async function checkModels(): Promise<Check> {
  const { models, unreadable } = await listModels();
  const usable = models.filter(({ family, problem, path }) => family === 'gemma3' && problem === null && path !== embeddedModelDir);
  if (usable.length > 0) return ok('models', `${count(usable.length)} Gemma 3 beside the embedded one: ${usable.map(({ name }) => name).join(', ')}`);
  const found = unreadable.length > 0 ? `none that can be read (${unreadable.join('; ')})` : 'only the embedded one, which finds facts and copies them out';
  return { name: 'models', state: 'missing', found, remedy: 'lodestone models pull hf:google/gemma-3-4b-it (asks for a login at Hugging Face), or ollama pull gemma3:4b' };
}

async function checkFfmpeg(): Promise<Check> {
  const program = await findFfmpeg();
  if (program !== null) {
    const { stdout } = await promisify(execFile)(program, ['-version'], { timeout: 10_000 });
    return ok('ffmpeg', `${/^ffmpeg version (\S+)/u.exec(stdout)?.[1] ?? 'of unknown version'}, ${program}`);
  }
  return { name: 'ffmpeg', state: 'missing', found: 'none, which audio and video need', remedy: 'Debian and Ubuntu: apt install ffmpeg; macOS: brew install ffmpeg; or set FFMPEG_BIN' };
}

async function checkCache(): Promise<Check> {
  const { folder, sessionBytes } = cacheOptions();
  const blocks = await listBlocks(sessionsFolder(folder));
  const used = blocks.reduce((sum, block) => sum + block.bytes, 0);
  const free = await statfs(folder).then(({ bavail, bsize }) => `, ${bytes(bavail * bsize)} free on the disk`, () => '');
  return ok('sessions', `${bytes(used)} of at most ${bytes(sessionBytes)} in ${folder}${free}`);
}
