/**
 * Where the stores of models lie on this machine. Other programs' stores are read, never written to.
 *
 * Hugging Face: HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else ~/.cache/huggingface/hub.
 * llama.cpp: LLAMA_CACHE, else its folder of the system's caches (older versions; newer ones share Hugging Face's).
 * Ollama: OLLAMA_MODELS, else ~/.ollama/models and, of the Linux service, /usr/share/ollama/.ollama/models.
 * LM Studio: the folder in its settings, else ~/.lmstudio/models, and ~/.cache/lm-studio/models of older versions.
 * Ours: LODESTONE_HOME/models, else the system's folder for application data (XDG_DATA_HOME on Linux). What can be had
 * again lies apart: LODESTONE_HOME/cache, else the system's folder for caches (XDG_CACHE_HOME on Linux).
 */
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { isAbsolute, join } from 'node:path';

/** What decides it; tests give their own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly platform: NodeJS.Platform;
}

export interface StorePlaces {
  readonly own: string;
  readonly huggingFace: readonly string[];
  readonly llamaCpp: readonly string[];
  readonly ollama: readonly string[];
  readonly lmStudio: readonly string[];
}

export function surroundings(): Surroundings {
  return { env: process.env, home: os.homedir(), platform: process.platform };
}

/** An environment variable's folder; XDG ignores what is not absolute. */
function folder(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

/** A path as people write it in a variable: ~ is the home folder. */
function expand(value: string | undefined, home: string): string | undefined {
  if (value === undefined || value.trim() === '') return undefined;
  return value === '~' || value.startsWith('~/') ? join(home, value.slice(1)) : value;
}

/** Hugging Face's own folder, with its cache and its token. */
export function huggingFaceHome({ env, home }: Surroundings): string {
  return expand(env['HF_HOME'], home) ?? join(folder(env['XDG_CACHE_HOME']) ?? join(home, '.cache'), 'huggingface');
}

/** Sessions, texts and hashes that can be computed again. */
export function cacheFolder(where: Surroundings = surroundings()): string {
  const home = expand(where.env['LODESTONE_HOME'], where.home);
  return home === undefined ? join(systemFolders(where).cache, 'lodestone') : join(home, 'cache');
}

export async function storePlaces(where: Surroundings): Promise<StorePlaces> {
  const { env, home, platform } = where;
  const { data, cache } = systemFolders(where);
  const ownHome = expand(env['LODESTONE_HOME'], home) ?? join(data, 'lodestone');
  const llama = expand(env['LLAMA_CACHE'], home);
  const ollama = expand(env['OLLAMA_MODELS'], home);
  return {
    own: join(ownHome, 'models'),
    huggingFace: [expand(env['HF_HUB_CACHE'], home) ?? join(huggingFaceHome(where), 'hub')],
    llamaCpp: [llama ?? join(cache, 'llama.cpp')],
    ollama: ollama === undefined ? [join(home, '.ollama', 'models'), ...(platform === 'linux' ? ['/usr/share/ollama/.ollama/models'] : [])] : [ollama],
    lmStudio: await lmStudioFolders(home),
  };
}

function systemFolders({ env, home, platform }: Surroundings): { data: string; cache: string } {
  if (platform === 'win32') {
    const local = env['LOCALAPPDATA'] ?? join(home, 'AppData', 'Local');
    return { data: folder(env['XDG_DATA_HOME']) ?? local, cache: folder(env['XDG_CACHE_HOME']) ?? local };
  }
  const mac = platform === 'darwin';
  return {
    data: folder(env['XDG_DATA_HOME']) ?? (mac ? join(home, 'Library', 'Application Support') : join(home, '.local', 'share')),
    cache: folder(env['XDG_CACHE_HOME']) ?? (mac ? join(home, 'Library', 'Caches') : join(home, '.cache')),
  };
}

/** LM Studio's own home may be elsewhere (a file points there), and its models elsewhere again (its settings do). */
async function lmStudioFolders(home: string): Promise<string[]> {
  const pointer = await readFile(join(home, '.lmstudio-home-pointer'), 'utf8').catch(() => '');
  const own = isAbsolute(pointer.trim()) ? pointer.trim() : join(home, '.lmstudio');
  const settings = await readFile(join(own, 'settings.json'), 'utf8').then((text) => JSON.parse(text) as unknown, () => null).catch(() => null);
  const chosen = (settings as { downloadsFolder?: unknown } | null)?.downloadsFolder;
  const folders = typeof chosen === 'string' && isAbsolute(chosen) ? [chosen, join(own, 'models')] : [join(own, 'models')];
  return [...new Set([...folders, join(home, '.cache', 'lm-studio', 'models')])];
}
