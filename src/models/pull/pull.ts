/**
 * `lodestone models pull`: a repository's model from the hub into our own store.
 *
 * Everything grows in OWN/.partial/hf/org/repo/<what>/ and moves to its place, by a rename, when all of it is there and
 * checked. Beside it then lies a record of what it is: source.json in a model directory, FILE.gguf.json beside a GGUF file.
 */
import { mkdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ExitCode, LodestoneError } from '../../errors.js';
import { parseConfig } from '../../gemma/config.js';
import { openModelFiles } from '../../runtime/model.js';
import { showRepoName, type RepoName } from '../names.js';
import { storePlaces, surroundings, type Surroundings } from '../places.js';
import { ownFolders, partialFolder, removeEmpty } from '../own.js';
import { chooseFiles, type Choice } from './choose.js';
import { bytesThere, downloadFile, forgetState } from './download.js';
import { fileUrl, hubEndpoint, hubToken, listRepository, refusal, type HubFile, type HubRepository } from './hub.js';
import type { HttpOptions } from './http.js';
import { takeLock } from './lock.js';

export interface PullProgress {
  readonly file: string;
  /** Bytes of all files. */
  readonly done: number;
  readonly total: number;
}

export interface PullOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  readonly where?: Surroundings;
  /** Side by side, for one file. */
  readonly connections?: number;
  readonly segmentBytes?: number;
  readonly backoffMs?: number;
  readonly attempts?: number;
  readonly idleMs?: number;
  /** Bytes free on a folder's disk; null where that can't be told. */
  readonly freeBytes?: (dir: string) => Promise<number | null>;
}

export interface PullResult {
  readonly schema: 'lodestone.pull/1';
  /** What `-m` takes. */
  readonly name: string;
  readonly path: string;
  readonly commit: string;
  readonly bytes: number;
  /** It was there already. */
  readonly unchanged: boolean;
  readonly files: readonly { readonly name: string; readonly size: number; readonly hash: string }[];
}

/** Room that is left on the disk whatever happens. */
const spareBytes = 64 * 2 ** 20;

/**
 * Errors: LodestoneError: badModel (no such model, no permission, a server that does not deliver, wrong bytes, not a Gemma
 * 3), outOfMemory (no room on the disk), usage (offline by choice); the signal's reason. After an error or a signal the
 * same call goes on where this one stopped.
 */
export async function pullModel(name: RepoName, options: PullOptions): Promise<PullResult> {
  const where = options.where ?? surroundings();
  const shown = showRepoName('hf', name);
  const http: HttpOptions = {
    endpoint: hubEndpoint(where),
    token: await hubToken(where),
    signal: options.signal,
    backoffMs: options.backoffMs ?? 500,
    attempts: options.attempts ?? 6,
    idleMs: options.idleMs ?? 30_000,
  };
  const { own } = await storePlaces(where);
  const repository = await listRepository(name, http);
  const choice = chooseFiles(name, repository);
  const place = placeOf(own, name, choice);
  const result = (unchanged: boolean): PullResult => ({
    schema: 'lodestone.pull/1',
    name: shown,
    path: place.path,
    commit: repository.commit,
    bytes: total(choice.files),
    unchanged,
    files: choice.files.map((file) => ({ name: file.name, size: file.size, hash: `${file.hash.kind}:${file.hash.hex}` })),
  });
  if (await isRecorded(place, choice)) return result(true);

  await makeFolder(place.partial);
  const release = await takeLock(place.partial, shown);
  try {
    // Another process may have finished it meanwhile.
    if (await isRecorded(place, choice)) return result(true);
    await checkRoom(place, choice, shown, options.freeBytes ?? freeBytes);
    await fetchAll(name, repository, choice, place, http, options);
    await settle(place, choice, repository.commit, name);
  } finally {
    await release();
    await removeEmpty(place.partial, own);
  }
  await openModelFiles(place.path).catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.badModel, `${shown} was pulled, but can't be used: ${(cause as Error).message}`, { cause });
  });
  return result(false);
}

const total = (files: readonly HubFile[]): number => files.reduce((sum, { size }) => sum + size, 0);

interface Place {
  /** Where the model will be. */
  readonly path: string;
  /** Says what it is. */
  readonly record: string;
  /** Where it grows. */
  readonly partial: string;
  /** Where a file of the repository lies in `partial`, and at the end. */
  readonly growing: (file: HubFile) => string;
  readonly final: (file: HubFile) => string;
}

function placeOf(own: string, { owner, repo }: RepoName, { format, files }: Choice): Place {
  const { safetensors, gguf } = ownFolders(own, owner, repo);
  const partial = partialFolder(own, owner, repo);
  if (format === 'safetensors') {
    const growing = join(partial, 'safetensors');
    return { path: safetensors, record: join(safetensors, 'source.json'), partial: growing, growing: (file) => join(growing, 'files', file.name), final: (file) => join(safetensors, file.name) };
  }
  const file = basename(files[0]!.name);
  const growing = join(partial, file);
  return { path: join(gguf, file), record: join(gguf, `${file}.json`), partial: growing, growing: () => join(growing, file), final: () => join(gguf, file) };
}

async function makeFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true }).catch((cause: unknown) => {
    throw new LodestoneError(ExitCode.badModel, `${dir}: can't be made (${(cause as Error).message})`, { cause });
  });
}

interface Record {
  readonly repository: string;
  readonly commit: string;
  readonly files: readonly { readonly name: string; readonly size: number; readonly hash: string }[];
}

/** Are these very files there already? By the record, and their sizes. */
async function isRecorded(place: Place, { files }: Choice): Promise<boolean> {
  const record = await readFile(place.record, 'utf8').then((text) => JSON.parse(text) as Partial<Record> | null).catch(() => null);
  for (const file of files) {
    if (!record?.files?.some(({ name, hash }) => name === file.name && hash === file.hash.hex)) return false;
    if ((await stat(place.final(file)).catch(() => null))?.size !== file.size) return false;
  }
  return true;
}

async function freeBytes(dir: string): Promise<number | null> {
  return statfs(dir).then(({ bavail, bsize }) => bavail * bsize, () => null);
}

async function checkRoom({ partial, growing }: Place, { files }: Choice, shown: string, free: (dir: string) => Promise<number | null>): Promise<void> {
  const there = await free(partial);
  if (there === null) return;
  const kept = await Promise.all(files.map((file) => bytesThere({ path: growing(file), size: file.size, hash: file.hash })));
  const needed = total(files) - kept.reduce((sum, bytes) => sum + bytes, 0);
  if (needed + spareBytes <= there) return;
  throw new LodestoneError(ExitCode.outOfMemory, `${shown}: ${Math.ceil(needed / 2 ** 20)} MiB are to come, but ${partial} has room for ${Math.floor(Math.max(0, there - spareBytes) / 2 ** 20)} MiB; LODESTONE_HOME puts the store on another disk`);
}

async function fetchAll(name: RepoName, { commit }: HubRepository, choice: Choice, place: Place, http: HttpOptions, options: PullOptions): Promise<void> {
  const all = total(choice.files);
  let before = 0;
  for (const file of choice.files) {
    const shown = `${showRepoName('hf', name)}: ${file.name}`;
    await downloadFile({
      url: fileUrl(http.endpoint, name, commit, file.name),
      path: place.growing(file),
      size: file.size,
      hash: file.hash,
      name: shown,
      connections: options.connections ?? 4,
      segmentBytes: options.segmentBytes ?? 32 * 2 ** 20,
      http,
      onProgress: (done) => options.onProgress?.({ file: file.name, done: before + done, total: all }),
      explain: (error) => refusal(error, shown, name, http, 'no such file'),
    });
    before += file.size;
    if (file.name === 'config.json') await checkConfig(place.growing(file), shown);
  }
}

/** Before gigabytes of another architecture come. */
async function checkConfig(path: string, shown: string): Promise<void> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new LodestoneError(ExitCode.badModel, `${shown}: is not JSON`, { cause });
  }
  parseConfig(json, shown);
}

/** All of it is there: into its place, by renames. */
async function settle(place: Place, { format, files }: Choice, commit: string, { owner, repo }: RepoName): Promise<void> {
  const record: Record = { repository: `${owner}/${repo}`, commit, files: files.map(({ name, size, hash }) => ({ name, size, hash: hash.hex })) };
  const text = `${JSON.stringify(record, null, 2)}\n`;
  await makeFolder(dirname(place.path));
  if (format === 'gguf') {
    await rm(place.record, { force: true });
    await rename(place.growing(files[0]!), place.path);
    await writeFile(place.record, text);
    await forgetState(place.growing(files[0]!));
    return;
  }
  const grown = join(place.partial, 'files');
  await writeFile(join(grown, 'source.json'), text);
  // An older commit's directory steps aside for the moment between two renames.
  const old = join(place.partial, 'old');
  await rm(old, { recursive: true, force: true });
  await rename(place.path, old).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  await rename(grown, place.path);
  await rm(old, { recursive: true, force: true });
  for (const file of files) await forgetState(place.final(file));
}
